//! Times an ONNX encoder with rten: `rten-peer MODEL.onnx MELS`, threads from `RTEN_NUM_THREADS`.

use std::env;
use std::error::Error;

use rten::ModelOptions;
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(path), Some(mels)) = (arguments.next(), arguments.next()) else {
        return Err("usage: rten-peer MODEL.onnx MELS".into());
    };
    let mels: usize = mels.parse()?;
    let model = ModelOptions::with_all_ops()
        .prepack_weights(true)
        .load_file(path)?;
    protocol::serve(
        mels,
        |features| {
            let input = NdTensor::from_data([1, features.len() / mels, mels], features.to_vec());
            let encoded: NdTensor<f32, 3> = model.run_one(input.view().into(), None)?.try_into()?;
            Ok(encoded)
        },
        |encoded| encoded.to_vec(),
    )
}
