//! The wall clock of a real process, which a test can set while it runs.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// The clock of the processes that get its [`Self::variables`].
#[derive(Debug)]
pub(crate) struct WallClock {
    file: File,
    path: PathBuf,
}

impl WallClock {
    /// A clock that is right, with its file in that folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let path = folder.join("clock");
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path);
        let clock = Self { file: file.expect("a file can be made"), path };
        clock.set_right();
        clock
    }

    /// Environment variables of the processes that have this clock.
    pub(crate) fn variables(&self) -> [(&str, &str); 2] {
        [("LD_PRELOAD", shim()), ("BRIDGE_TEST_CLOCK", self.path.to_str().expect("text"))]
    }

    pub(crate) fn set_ahead(&self, by: Duration) {
        self.set(i64::try_from(by.as_millis()).expect("small"));
    }

    pub(crate) fn set_behind(&self, by: Duration) {
        self.set(-i64::try_from(by.as_millis()).expect("small"));
    }

    pub(crate) fn set_right(&self) {
        self.set(0);
    }

    fn set(&self, offset_ms: i64) {
        self.file.write_all_at(&offset_ms.to_ne_bytes(), 0).expect("it can be written");
    }
}

/// The compiled shim.
fn shim() -> &'static str {
    static SHIM: OnceLock<String> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/clock/shim.c");
        let library =
            format!("{}/clock-shim-{}.so", env!("CARGO_TARGET_TMPDIR"), std::process::id());
        let arguments = ["-shared", "-fPIC", "-O1", "-o", &library, source];
        let status = Command::new("cc").args(arguments).status().expect("a C compiler");
        assert!(status.success(), "the shim compiles");
        library
    })
}
