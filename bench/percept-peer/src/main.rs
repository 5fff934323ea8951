//! Times our encoder: `percept-peer MODEL PRECISION`, threads from `RAYON_NUM_THREADS`.

use std::env;
use std::error::Error;
use std::path::Path;

use percept_asr::{Model, ModelOptions};
use percept_nn::{Items, Precision};
use percept_weights::Checkpoint;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(path), Some(precision)) = (arguments.next(), arguments.next()) else {
        return Err("usage: percept-peer MODEL PRECISION".into());
    };
    let precision = match precision.as_str() {
        "f32" => Precision::F32,
        "int8" => Precision::Int8,
        other => return Err(format!("no precision `{other}`; there is f32 and int8").into()),
    };
    let options = ModelOptions {
        precision: Some(precision),
        ..ModelOptions::default()
    };
    let model = Model::load(Checkpoint::open(Path::new(&path))?, options)?;
    let config = model.config();
    // As a recogniser does: the whole pass runs on the threads of a pool.
    let pool = rayon::ThreadPoolBuilder::new().build()?;
    protocol::serve(
        config.mel.n_mels,
        |features| {
            let items = Items::one(features.len() / config.mel.n_mels);
            let encode = || {
                let encoder = model.encoder();
                encoder.encode(features, &items, &config.encoder.mask)
            };
            Ok(pool.install(encode).0)
        },
        |encoded| encoded,
    )
}
