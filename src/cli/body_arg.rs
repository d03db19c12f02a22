//! A webhook's body as an argument: a file, or `-` for standard input.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::Io;

/// Longest accepted body, in bytes: more than any platform sends, and less than the memory of any machine.
const MAX_BODY: usize = 16 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct BodyArg {
    /// The webhook's body; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
}

impl BodyArg {
    /// The file; none for standard input.
    pub(super) fn path(&self) -> Option<&Path> {
        (self.file.as_os_str() != "-").then_some(&self.file)
    }

    pub(super) fn read(&self, io: &mut Io<'_>) -> anyhow::Result<Vec<u8>> {
        let Some(path) = self.path() else {
            return read_bounded(io.stdin).context("cannot read standard input");
        };
        let of_file = || format!("cannot take {}", path.display());
        read_bounded(&mut File::open(path).with_context(of_file)?).with_context(of_file)
    }
}

fn read_bounded(source: &mut dyn Read) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    source.take(MAX_BODY as u64 + 1).read_to_end(&mut body)?;
    ensure!(body.len() <= MAX_BODY, "it is longer than 16 MiB");
    Ok(body)
}
