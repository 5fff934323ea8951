//! `percept codec copy`: a token file again.

use std::io::Cursor;

use percept::{NctReader, TokenFileKind};

use super::args::CopyArgs;
use super::encode::check_exists;
use super::error::CodecFault;
use super::output::Target;
use super::token_file::{Sniffed, container_error, sniffed};
use crate::error::CliError;
use crate::inputs::Source;
use crate::{atomic, output};

/// Copies one token file.
///
/// # Errors
///
/// What keeps it from being copied; for a damaged one after everything before the damage was written.
pub(crate) fn run(args: &CopyArgs) -> Result<(), CliError> {
    let source = Source::from_argument(&args.input);
    if let (Source::File(_), None) = (&source, &args.output) {
        let file = source.label();
        return Err(CodecFault::NoCopy { file }.into());
    }
    let target = Target::choose(args.output.as_deref(), &source, "nct")?;
    target.check_terminal("a token file")?;
    check_exists(&source)?;
    let Sniffed { kind, bytes } = sniffed(&source)?;
    if kind != TokenFileKind::Nct {
        let file = source.label();
        return Err(CodecFault::NotNct { file }.into());
    }
    let about = |error| container_error(&source, error);
    let mut reader = NctReader::new(bytes).map_err(about)?;
    if let Some(books) = args.books {
        reader = reader.with_books(books.get()).map_err(about)?;
    }
    // Token files are small, and this one is not written before it is known to hold anything.
    let mut copy = Cursor::new(Vec::new());
    let damage = reader.copy_to(&mut copy).err();
    let copy = copy.into_inner();
    if let Some(damage) = damage {
        let copied = NctReader::new(&copy[..]);
        if copied.is_ok_and(|copied| copied.header().superframes.is_some()) {
            write(&target, &copy)?;
        }
        return Err(about(damage));
    }
    write(&target, &copy)
}

fn write(target: &Target, bytes: &[u8]) -> Result<(), CliError> {
    match target {
        Target::Stdout => output::print(bytes),
        Target::File(path) => {
            atomic::write(path, |file| file.write_all(bytes)).map_err(|source| CliError::Write {
                path: path.clone(),
                source,
            })
        }
    }
}
