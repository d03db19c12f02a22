//! Finds the type of the file system that holds a path.
//!
//! `SQLite`'s write-ahead log needs memory shared by all its users, which network file systems do not provide
//! (<https://www.sqlite.org/wal.html>, "Disadvantages"; <https://www.sqlite.org/howtocorrupt.html>, 2.1).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// File systems on another machine's disk, as `/proc/self/mountinfo` names them.
const NETWORK_FILESYSTEMS: &str = include_str!("network_filesystems.txt");

/// Returns the network file system that holds the path, if any. It is `None` where the kernel does not show mounts.
pub(super) fn network_filesystem(path: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let kind = filesystem_type(&mounts, &resolve_links(path))?;
    NETWORK_FILESYSTEMS.lines().any(|network| network == kind).then(|| kind.to_owned())
}

/// Resolves links of the part of the path that exists; the rest will be created there.
fn resolve_links(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = absolute.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    match found {
        None => absolute,
        Some((above, real)) => match absolute.strip_prefix(above) {
            Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
            Ok(_) | Err(_) => real,
        },
    }
}

/// Finds the type of the file system that holds the path. The nearest mount point above the path decides; among equal
/// mount points the last mounted one decides (`proc_pid_mountinfo(5)`).
fn filesystem_type<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let (before, after) = line.split_once(" - ")?;
        let point = unescape_octal(before.split(' ').nth(4)?);
        Some((point, after.split(' ').next()?))
    };
    let above = mounts.lines().filter_map(mount).filter(|(point, _)| path.starts_with(point));
    above.max_by_key(|(point, _)| point.components().count()).map(|(_, kind)| kind)
}

/// Decodes octal escapes of space, tab, newline and backslash: `\040`.
fn unescape_octal(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
21 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
22 21 0:20 / /proc rw - proc proc rw
30 21 0:40 / /srv/share rw,relatime shared:9 master:2 - nfs4 filer:/export rw,vers=4.2
31 30 254:2 / /srv/share/local rw - xfs /dev/vdb rw
32 21 0:41 / /mnt/team\\040disk rw - cifs //filer/team rw
33 21 0:42 / /data rw - ext4 /dev/vdc rw
34 21 0:43 / /data rw - fuse.sshfs me@host:/ rw
not a mount line
";

    #[test]
    fn filesystem_type_is_that_of_the_nearest_mount_point() {
        for (path, kind) in [
            ("/var/lib/bridge.db", "ext4"),
            ("/srv/share/bridge.db", "nfs4"),
            ("/srv/share/local/bridge.db", "xfs"),
            ("/srv/shared/bridge.db", "ext4"),
            ("/mnt/team disk/a/bridge.db", "cifs"),
            ("/data/bridge.db", "fuse.sshfs"),
        ] {
            assert_eq!(filesystem_type(MOUNTS, Path::new(path)), Some(kind), "{path}");
        }
        assert_eq!(filesystem_type("", Path::new("/x")), None);
    }

    #[test]
    fn unescape_octal_decodes_octal_and_keeps_the_rest() {
        assert_eq!(unescape_octal("/a\\040b\\134c"), Path::new("/a b\\c"));
        assert_eq!(unescape_octal("/a\\04"), Path::new("/a\\04"));
        assert_eq!(unescape_octal("/ü\\"), Path::new("/ü\\"));
    }

    #[test]
    fn resolve_links_follows_links_and_keeps_missing_parts() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("it exists");
        std::fs::create_dir(folder.join("there")).expect("made");
        std::os::unix::fs::symlink(folder.join("there"), folder.join("link")).expect("linked");
        assert_eq!(resolve_links(&folder.join("link/new/x.db")), folder.join("there/new/x.db"));
        assert_eq!(resolve_links(&folder.join("link")), folder.join("there"));
    }
}
