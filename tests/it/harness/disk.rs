//! Disks that tests can cut off, fill, freeze and make fail: file systems in a file, on a loop device.

use std::fmt;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::process::Bridge;
use super::tell;

/// A kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ext4,
    Xfs,
}

/// A mounted disk; dropping it unmounts and removes it.
pub(crate) struct Disk {
    kind: Kind,
    device: String,
    pub(crate) mount: PathBuf,
}

/// Programs that these tests need, besides being root.
const TOOLS: [&str; 7] =
    ["strace", "xfs_io", "mkfs.ext4", "mkfs.xfs", "losetup", "mount", "fsfreeze"];

/// Whether disks can be made here; if not, prints that the test is skipped.
pub(crate) fn possible(test: &str) -> bool {
    let finds = |tool: &&str| {
        let paths = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
        paths.iter().any(|folder| Path::new(folder).join(tool).exists())
    };
    let missing: Vec<&str> = TOOLS.iter().filter(|tool| !finds(tool)).copied().collect();
    let root = run("id", &["-u"]).is_ok_and(|id| id.trim() == "0");
    let loops = root && run("losetup", &["-f"]).is_ok();
    if !missing.is_empty() || !root || !loops {
        tell(&format!("SKIPPED {test}: root: {root}, loop devices: {loops}, missing: {missing:?}"));
        return false;
    }
    true
}

/// Runs a program to its end; returns its output, or its error.
fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

fn must(program: &str, arguments: &[&str]) -> String {
    run(program, arguments).unwrap_or_else(|why| panic!("{why}"))
}

impl Disk {
    /// A new disk whose file system is mounted at `mount`; its image file is beside that.
    pub(crate) fn make(kind: Kind, mount: &Path) -> Self {
        fs::create_dir_all(mount).expect("a folder can be made");
        let image = mount.with_extension(format!("{kind}.img"));
        // The minimum size of XFS.
        let file = File::create(&image).expect("a file can be made");
        file.set_len(320 << 20).expect("a file may have holes");
        let image = image.display().to_string();
        match kind {
            Kind::Ext4 => must("mkfs.ext4", &["-q", "-F", &image]),
            Kind::Xfs => must("mkfs.xfs", &["-q", &image]),
        };
        let device = must("losetup", &["-f", "--show", &image]).trim().to_owned();
        let disk = Self { kind, device, mount: mount.to_owned() };
        disk.mount();
        disk
    }

    fn at(&self) -> &str {
        self.mount.to_str().expect("temporary paths are text")
    }

    pub(crate) fn mount(&self) {
        let options = match self.kind {
            Kind::Ext4 => "errors=remount-ro",
            Kind::Xfs => "defaults",
        };
        must("mount", &["-o", options, &self.device, self.at()]);
        // A process with its own mount namespace may have kept the dead mount for a moment.
        for _ in 0..50 {
            if fs::read_dir(&self.mount).is_ok_and(|mut entries| entries.all(|entry| entry.is_ok()))
            {
                return;
            }
            must("umount", &[self.at()]);
            std::thread::sleep(Duration::from_millis(200));
            must("mount", &["-o", options, &self.device, self.at()]);
        }
        panic!("{} stays dead", self.device);
    }

    pub(crate) fn unmount(&self) {
        must("umount", &[self.at()]);
    }

    /// Cuts the power: nothing reaches the disk any more, not even pending writes of the kernel.
    pub(crate) fn lose_power(&self) {
        must("xfs_io", &["-x", "-c", "shutdown", self.at()]);
    }

    /// Makes the kernel detect an error and remount the disk read-only.
    pub(crate) fn fail(&self) {
        let name = self.device.rsplit('/').next().expect("a device has a name");
        fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "1").expect("ext4 offers it");
    }

    /// Makes writes hang.
    pub(crate) fn freeze(&self) {
        must("fsfreeze", &["-f", self.at()]);
    }

    pub(crate) fn thaw(&self) {
        must("fsfreeze", &["-u", self.at()]);
    }

    /// Fills the disk; removing the file frees it.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.mount.join("filler");
        let mut file = File::create(&path).expect("a name costs nothing");
        for size in [1 << 20, 4096, 1] {
            let piece = vec![b'x'; size];
            while file.write_all(&piece).is_ok() {}
        }
        // Space that the kernel has reserved and not yet written counts, too.
        drop(file.sync_all());
        path
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a bridge of a failed test may still have it open, or it may hang frozen.
        drop(run("fsfreeze", &["-u", self.at()]));
        drop(run("umount", &["-l", self.at()]));
        drop(run("losetup", &["-d", &self.device]));
    }
}

/// A small disk in memory; dropping it unmounts it.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` if the process may not mount.
    pub(crate) fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).expect("a folder can be made");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }

    /// Resizes the disk.
    pub(crate) fn enlarge(&self, size: &str) {
        let at = self.0.to_str().expect("temporary paths are text");
        must("mount", &["-o", &format!("remount,size={size}"), at]);
    }

    /// Fills the disk; removing the file frees it.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::create(&path).expect("a name costs nothing");
        while file.write_all(&[b'x'; 4096]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a bridge of a failed test may still have it open, or it may hang frozen.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// Makes system calls of a bridge fail until it is dropped.
pub(crate) struct Failing(Child);

impl Failing {
    /// Every sync of this file fails with EIO and has no effect.
    pub(crate) fn syncs(bridge: &Bridge, file: &Path) -> Self {
        Self::calls(bridge, "fsync,fdatasync", "EIO", &[file.to_owned()])
    }

    /// Every write to these files fails as on a read-only file system.
    pub(crate) fn writes_read_only(bridge: &Bridge, files: &[PathBuf]) -> Self {
        Self::calls(bridge, "write,pwrite64,ftruncate", "EROFS", files)
    }

    fn calls(bridge: &Bridge, calls: &str, error: &str, files: &[PathBuf]) -> Self {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
        strace.args(["-e", &format!("inject={calls}:error={error}")]);
        for file in files {
            strace.arg("-P").arg(file);
        }
        strace.args(["-p", &bridge.pid().to_string()]).stderr(Stdio::null());
        Self(strace.spawn().expect("strace starts"))
    }

    /// Ends the failures.
    pub(crate) fn end(mut self) {
        // SIGINT: strace detaches, and the process goes on.
        must("kill", &["-INT", &self.0.id().to_string()]);
        self.0.wait().expect("it ends");
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
