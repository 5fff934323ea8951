//! Colours for values from 0 to 255, readable on light and dark pages and without colour vision.

/// Anchors of a scale from dark to bright, evenly spaced, in sRGB.
type Anchors = [[u8; 3]; 9];

/// Energy: black over purple and orange to a light yellow. Values of matplotlib's `inferno` (CC0).
const ENERGY: Anchors = [
    [0, 0, 4],
    [31, 12, 72],
    [85, 15, 109],
    [136, 34, 106],
    [186, 54, 85],
    [227, 89, 51],
    [249, 140, 10],
    [249, 201, 50],
    [252, 255, 164],
];

/// Codes: purple over green to yellow. Values of matplotlib's `viridis` (CC0).
const CODES: Anchors = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

/// 256 colours.
pub(super) type Palette = [[u8; 3]; 256];

pub(super) fn energy() -> Palette {
    between(&ENERGY)
}

pub(super) fn codes() -> Palette {
    between(&CODES)
}

fn between(anchors: &Anchors) -> Palette {
    let steps = anchors.len() - 1;
    std::array::from_fn(|value| {
        let place = value as f64 / 255.0 * steps as f64;
        let below = (place as usize).min(steps - 1);
        let share = place - below as f64;
        std::array::from_fn(|channel| {
            let [low, high] = [below, below + 1].map(|at| f64::from(anchors[at][channel]));
            (low + share * (high - low)).round() as u8
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_grows_brighter_all_the_way() {
        for palette in [energy(), codes()] {
            let weigh = [0.2126, 0.7152, 0.0722]; // of linear light: ITU-R BT.709
            let linear = |c: u8| (f64::from(c) / 255.0).powf(2.2);
            let light = |rgb: &[u8; 3]| (0..3).map(|c| weigh[c] * linear(rgb[c])).sum::<f64>();
            let lights: Vec<f64> = palette.iter().map(light).collect();
            assert!(lights.windows(2).all(|two| two[1] > two[0] - 2e-3));
            assert!(lights[255] > lights[0] + 0.5);
        }
    }
}
