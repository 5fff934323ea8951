//! The recogniser that is compiled in: `models/tiny-en`.

use percept_weights::{Checkpoint, WeightsError};

macro_rules! file {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../../models/tiny-en/", $name)).as_slice(),
        )
    };
}

/// The checkpoint of the recogniser that is compiled in.
///
/// # Errors
/// None with the files of a release: they are read as any other checkpoint is.
pub fn embedded_checkpoint() -> Result<Checkpoint, WeightsError> {
    Checkpoint::from_memory(
        "tiny-en",
        &[
            file!("config.json"),
            file!("generation_config.json"),
            file!("processor_config.json"),
            file!("tokenizer.json"),
            file!("model.safetensors"),
        ],
    )
}
