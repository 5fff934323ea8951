//! Where codes go: collected to be written whole, or written as they come.

use std::io::{self, Stdout, Write};
use std::path::Path;

use percept::{
    Codec, CodecSpec, Codes, ContainerError, JsonCodes, NctHeader, NctWriter, write_nct,
};

use super::args::TokenFormat;
use super::encode::layout_error;
use super::layout::Order;
use super::model::Opened;
use super::output::Target;
use crate::error::CliError;
use crate::model::hub_id;
use crate::{atomic, output};

/// Takes codes in pieces.
pub(crate) trait Sink {
    /// The next codes; the last ones know how long the recording was.
    fn take(&mut self, codes: &Codes) -> Result<(), CliError>;

    /// All codes were taken.
    fn finish(&mut self) -> Result<(), CliError>;
}

/// How codes become bytes.
struct Form<'a> {
    codec: &'a Codec,
    /// As `--model` has it.
    model: &'a str,
    format: TokenFormat,
    /// Of ids.
    order: Option<Order>,
}

impl<'a> Form<'a> {
    fn new(opened: &'a Opened, format: TokenFormat, order: Option<Order>) -> Self {
        Self {
            codec: &opened.codec,
            model: &opened.name,
            format,
            order,
        }
    }

    fn spec(&self) -> &CodecSpec {
        self.codec.spec()
    }

    /// The header of a token file of codes like these.
    fn header(&self, codes: &Codes) -> Result<NctHeader, CliError> {
        let header = self
            .codec
            .model()
            .nct_header(codes.books())
            .map_err(percept::Error::from)?;
        let mut made =
            serde_json::json!({ "encoder": concat!("percept ", env!("CARGO_PKG_VERSION")) });
        // The name of a folder says nothing to others, and perhaps more than it should.
        if hub_id(Path::new(self.model)).is_some() && !Path::new(self.model).exists() {
            made["model"] = self.model.into();
        }
        Ok(NctHeader {
            segmented: !codes.segments().is_empty(),
            user_json: made.to_string(),
            ..header
        })
    }

    /// Codes as text: a line of JSON, or lines of ids.
    fn text(&self, codes: &Codes) -> Result<String, CliError> {
        match &self.order {
            Some(order) => order
                .text(codes)
                .map_err(|source| layout_error(self.model, source)),
            None => {
                let spec = self.spec();
                let json = JsonCodes::new(spec.family.name(), spec.sample_rate, codes);
                Ok(json.text() + "\n")
            }
        }
    }
}

/// Collects codes, which are small, and writes them when they are complete.
pub(crate) struct WholeSink<'a> {
    form: Form<'a>,
    target: Target,
    codes: Option<Codes>,
}

impl<'a> WholeSink<'a> {
    pub(crate) fn new(
        opened: &'a Opened,
        format: TokenFormat,
        order: Option<Order>,
        target: Target,
    ) -> Self {
        Self {
            form: Form::new(opened, format, order),
            target,
            codes: None,
        }
    }
}

impl Sink for WholeSink<'_> {
    fn take(&mut self, fresh: &Codes) -> Result<(), CliError> {
        let codes = self
            .codes
            .get_or_insert_with(|| Codes::new(fresh.specs().clone()));
        codes.extend(fresh).map_err(codes_error)?;
        if fresh.source_samples().is_some() {
            codes.set_source_samples(fresh.source_samples());
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), CliError> {
        let Some(codes) = &self.codes else {
            return Ok(());
        };
        let bytes = match self.form.format {
            TokenFormat::Nct => {
                let written = write_nct(Vec::new(), self.form.header(codes)?, codes);
                written.map_err(container_error)?
            }
            TokenFormat::Json | TokenFormat::Ids => self.form.text(codes)?.into_bytes(),
        };
        match &self.target {
            Target::Stdout => output::print(&bytes),
            Target::File(path) => {
                atomic::write(path, |file| file.write_all(&bytes)).map_err(|source| {
                    CliError::Write {
                        path: path.clone(),
                        source,
                    }
                })
            }
        }
    }
}

/// Writes codes to stdout as they come.
pub(crate) struct LiveSink<'a> {
    form: Form<'a>,
    file: Option<NctWriter<Prompt>>,
}

impl<'a> LiveSink<'a> {
    pub(crate) fn new(opened: &'a Opened, format: TokenFormat, order: Option<Order>) -> Self {
        Self {
            form: Form::new(opened, format, order),
            file: None,
        }
    }
}

impl Sink for LiveSink<'_> {
    fn take(&mut self, codes: &Codes) -> Result<(), CliError> {
        let is_last = codes.source_samples().is_some();
        match self.form.format {
            _ if codes.is_empty() && !is_last => Ok(()),
            TokenFormat::Ids if codes.is_empty() => Ok(()),
            TokenFormat::Json | TokenFormat::Ids => {
                output::print(self.form.text(codes)?.as_bytes())
            }
            TokenFormat::Nct => {
                let file = match &mut self.file {
                    Some(file) => file,
                    none => {
                        let mut header = self.form.header(codes)?;
                        if !header.segmented {
                            header.packet_superframes = 1; // a full packet is out at once
                        }
                        let file = NctWriter::new(Prompt(io::stdout()), header);
                        none.insert(file.map_err(container_error)?)
                    }
                };
                file.push(codes).map_err(container_error)
            }
        }
    }

    fn finish(&mut self) -> Result<(), CliError> {
        match self.file.take() {
            Some(file) => file.finish().map(drop).map_err(container_error),
            None => Ok(()),
        }
    }
}

/// Stdout that hands everything on at once.
struct Prompt(Stdout);

impl Write for Prompt {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.0.flush()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn codes_error(error: percept::CodesError) -> CliError {
    percept::Error::from(percept::CodecError::from(error)).into()
}

/// Only stdout fails while a token file is written: files are made in memory first.
fn container_error(error: ContainerError) -> CliError {
    match error {
        ContainerError::Io { source, .. } => CliError::Stdout { source },
        ContainerError::Codes(error) => codes_error(error),
        error => super::error::CodecFault::TokenFile {
            file: "-".to_owned(),
            source: Box::new(error),
        }
        .into(),
    }
}
