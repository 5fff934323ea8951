//! What can be said of a codec without its weights.

use serde_json::Value;

use crate::CodecFamily;

/// Rate and books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) sample_rate: u32,
    /// Latent frames that one code of each book covers.
    pub(super) strides: Vec<u32>,
}

impl Known {
    /// The published repositories.
    pub(super) fn published(repo_id: &str) -> Option<Known> {
        let (sample_rate, strides) = match repo_id {
            "hubertsiuzdak/snac_24khz" => (24_000, vec![4, 2, 1]),
            "hubertsiuzdak/snac_32khz" => (32_000, vec![8, 4, 2, 1]),
            "hubertsiuzdak/snac_44khz" => (44_100, vec![8, 4, 2, 1]),
            "descript/dac_16khz" => (16_000, vec![1; 12]),
            "descript/dac_24khz" => (24_000, vec![1; 32]),
            "descript/dac_44khz" => (44_100, vec![1; 9]),
            "facebook/encodec_24khz" => (24_000, vec![1; 32]),
            "facebook/encodec_32khz" => (32_000, vec![1; 4]),
            "facebook/encodec_48khz" => (48_000, vec![1; 16]),
            "kyutai/mimi" => (24_000, vec![1; 32]),
            _ => return None,
        };
        Some(Known {
            sample_rate,
            strides,
        })
    }

    /// What a `config.json` says, if it says it plainly.
    pub(super) fn of_config(family: CodecFamily, config: &Value) -> Option<Known> {
        let number = |field: &str| config.get(field)?.as_u64();
        let sample_rate = number("sampling_rate")?;
        let strides = match family {
            CodecFamily::Snac => numbers(config.get("vq_strides")?)?,
            CodecFamily::Dac => vec![1; usize::try_from(number("n_codebooks")?).ok()?],
            CodecFamily::Mimi => vec![1; usize::try_from(number("num_quantizers")?).ok()?],
            CodecFamily::Encodec => vec![1; encodec_books(config, sample_rate)?],
        };
        let is_sound = sample_rate > 0 && (1..=1 << 16).contains(&strides.len());
        is_sound.then_some(Known {
            sample_rate: sample_rate.try_into().ok()?,
            strides,
        })
    }
}

/// Books at the largest bandwidth, each code in `log2(codebook_size)` bits.
fn encodec_books(config: &Value, sample_rate: u64) -> Option<usize> {
    let bandwidths = config.get("target_bandwidths")?.as_array()?;
    let widest = bandwidths
        .iter()
        .filter_map(Value::as_f64)
        .fold(0.0, f64::max);
    let hop = numbers(config.get("upsampling_ratios")?)?;
    let hop = hop.iter().map(|&ratio| f64::from(ratio)).product::<f64>();
    let frames = (sample_rate as f64 / hop).ceil();
    let bits = (config.get("codebook_size")?.as_f64()?).log2();
    let books = (widest * 1000.0 / (frames * bits)).floor();
    let is_sound = bits.is_finite() && bits > 0.0 && (0.0..65_536.0).contains(&books);
    is_sound.then_some(books.max(1.0) as usize)
}

fn numbers(list: &Value) -> Option<Vec<u32>> {
    let number = |value: &Value| u32::try_from(value.as_u64()?).ok().filter(|&n| n > 0);
    list.as_array()?.iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_published_configuration_says_is_what_is_known_of_its_repository() {
        let cases = [
            (
                CodecFamily::Snac,
                "hubertsiuzdak/snac_44khz",
                json!({"sampling_rate": 44100, "vq_strides": [8, 4, 2, 1]}),
            ),
            (
                CodecFamily::Dac,
                "descript/dac_24khz",
                json!({"sampling_rate": 24000, "n_codebooks": 32}),
            ),
            (
                CodecFamily::Mimi,
                "kyutai/mimi",
                json!({"sampling_rate": 24000, "num_quantizers": 32}),
            ),
            (
                CodecFamily::Encodec,
                "facebook/encodec_24khz",
                json!({"sampling_rate": 24000, "target_bandwidths": [1.5, 3.0, 6.0, 12.0, 24.0],
                       "upsampling_ratios": [8, 5, 4, 2], "codebook_size": 1024}),
            ),
            (
                CodecFamily::Encodec,
                "facebook/encodec_32khz",
                json!({"sampling_rate": 32000, "target_bandwidths": [2.2],
                       "upsampling_ratios": [8, 5, 4, 4], "codebook_size": 2048}),
            ),
            (
                CodecFamily::Encodec,
                "facebook/encodec_48khz",
                json!({"sampling_rate": 48000, "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
                       "upsampling_ratios": [8, 5, 4, 2], "codebook_size": 1024}),
            ),
        ];
        for (family, repo, config) in cases {
            let known = Known::of_config(family, &config);
            assert_eq!(known, Known::published(repo), "{repo}");
            assert!(known.is_some(), "{repo}");
        }
    }

    #[test]
    fn a_configuration_that_cannot_be_says_nothing() {
        for config in [
            json!({}),
            json!([]),
            json!({"sampling_rate": 0, "vq_strides": [4, 2, 1]}),
            json!({"sampling_rate": 24000, "vq_strides": []}),
            json!({"sampling_rate": 24000, "vq_strides": [4, 0]}),
            json!({"sampling_rate": 24000, "vq_strides": "4"}),
        ] {
            assert_eq!(
                Known::of_config(CodecFamily::Snac, &config),
                None,
                "{config}"
            );
        }
        let config = json!({"sampling_rate": 24000, "target_bandwidths": [1e300],
                            "upsampling_ratios": [8], "codebook_size": 0});
        assert_eq!(Known::of_config(CodecFamily::Encodec, &config), None);
        assert_eq!(Known::published("someone/else"), None);
    }
}
