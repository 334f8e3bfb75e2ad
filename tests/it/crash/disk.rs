//! A disk whose power can be cut: an ext4 image on a loop device, shut down without a chance to write what it holds in memory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// What folders of disks are called; then the process that has them.
const PREFIX: &str = "grantkeeper-power-cut-";

/// 64 MiB: many times what the stores of these tests take.
const SIZE: u64 = 64 << 20;

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: from here on nothing reaches the disk, not even what the file system's
/// own log has in memory. A computer without power does nothing either: the process that uses the disk is stopped first, in the same
/// instant. Were it not, it would go on for a moment, and the kernel lets a sync that the shutdown overtakes return without an error:
/// then it would tell, and send, what no computer without power tells or sends. A stop that was sent is none yet: the kernel gives
/// it to one thread, and the others go on until that one has run, which takes its time where many want the processors. So the disk is
/// cut when every thread has stopped, or waits for a disk (and stops when it comes back from there).
/// Perl, because ioctl is unsafe in Rust, and every Debian has it.
const SHUTDOWN: &str = r#"
    my ($path, @processes) = @ARGV;
    open(my $root, "<", $path) or die "open: $!";
    my $how = pack("L", 2);
    kill("STOP", @processes) == @processes or die "stop: $!";
    for my $process (@processes) {
        for (my $stopped = 0; !$stopped; select(undef, undef, undef, 0.0001)) {
            my ($some, $all) = (0, 1);
            for my $stat (glob("/proc/$process/task/*/stat")) {
                open(my $file, "<", $stat) or next;
                my ($state) = (<$file> // "") =~ /\) (\w) /;
                $some = 1 if ($state // "") eq "T";
                $all = 0 if ($state // "R") !~ /^[TDZX]$/;
            }
            $stopped = $some && $all;
        }
    }
    ioctl($root, 0x8004587D, $how) or die "ioctl: $!";
"#;

/// A mounted disk. It is unmounted and removed with this, also when a test fails.
pub(crate) struct Disk {
    folder: TempDir,
}

impl Disk {
    /// A new disk, mounted. The error says why this machine does not allow one.
    pub(crate) fn new() -> Result<Self, String> {
        remove_leftovers();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir().map_err(|error| error.to_string())?;
        let disk = Self { folder };
        File::create(disk.image()).and_then(|image| image.set_len(SIZE)).map_err(|error| error.to_string())?;
        std::fs::create_dir(disk.root()).map_err(|error| error.to_string())?;
        // Everything is written now: a kernel that goes on making the file system in the background would keep it busy.
        run("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"], &[&disk.image()])?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Cuts the power of the disk, and of the process that uses it.
    pub(crate) fn cut(&self, process: Option<u32>) -> Result<(), String> {
        let process = process.map(|process| process.to_string());
        let process: Vec<_> = process.iter().map(Path::new).collect();
        run("perl", &["-e", SHUTDOWN], &[&[self.root().as_path()], process.as_slice()].concat())
    }

    /// Lets the system write a part of a file back, as it does when it likes: the other parts stay in memory.
    pub(crate) fn write_back(&self, file: &Path, from_block: usize, blocks: usize) {
        let (from, count) = (format!("skip={from_block}"), format!("count={blocks}"));
        let file = format!("if={}", file.display());
        // Advice to forget what was read makes the system write it first, where it has to (POSIX_FADV_DONTNEED).
        let _ = run("dd", &["of=/dev/null", "bs=4096", "iflag=nocache", &file, &from, &count], &[]);
    }

    /// Starts again after a cut. Nobody may use the disk any more.
    pub(crate) fn restart(&self) {
        unmount(&self.root()).unwrap();
        self.mount().unwrap();
    }

    fn mount(&self) -> Result<(), String> {
        // The loop device goes with the mount.
        run("mount", &["-t", "ext4", "-o", "loop,nosuid,nodev,noexec"], &[&self.image(), &self.root()])
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Before the folder is removed: removing must not go through a mount.
        let _ = unmount(&self.root());
    }
}

/// Unmounts, where something is mounted. A process that was killed may keep it busy for a moment.
fn unmount(root: &Path) -> Result<(), String> {
    let mut tries = 0;
    while mounts().iter().any(|mounted| mounted == root) {
        match run("umount", &[], &[root]) {
            Err(why) if tries == 100 => return Err(why),
            _ => tries += 1,
        }
        #[allow(clippy::disallowed_methods)] // a file that another process closes has no event to wait for
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Unmounts and removes the disks of test runs that were killed.
fn remove_leftovers() {
    for root in mounts() {
        let Some(folder) = root.parent().filter(|folder| is_left_over(folder)) else { continue };
        if unmount(&root).is_ok() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
    // Those that were killed before they mounted.
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        if is_left_over(&entry.path()) && !mounts().contains(&entry.path().join("root")) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a folder is a disk's whose process is no more.
fn is_left_over(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')).map(|(process, _)| process);
    process.is_some_and(|process| !Path::new("/proc").join(process).exists())
}

/// Where anything is mounted.
fn mounts() -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from).collect()
}

fn run(program: &str, arguments: &[&str], paths: &[&Path]) -> Result<(), String> {
    let ran = Command::new(program)
        .args(arguments)
        .args(paths)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin") // a user's path may lack the administrator's programs
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    ran.status.success().then_some(()).ok_or_else(|| format!("{program}: {}", said.trim().replace('\n', "; ")))
}
