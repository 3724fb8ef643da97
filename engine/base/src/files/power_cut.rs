//! Files that forget what was not synced.
//!
//! A killed process keeps the page cache, so `kill -9` alone never proves an fsync. Here whatever is not
//! durable lives in the memory of this process only:
//!
//! 1. [`File::write_at`] goes to an overlay of the file, by 512-byte sector. Now and then a random sector
//!    of it also goes to the real file, as the kernel's write-back would do, in no order: so a cut leaves
//!    torn writes too.
//! 2. [`File::sync_data`] writes the overlay to the real file.
//! 3. Creating, renaming and removing change the names seen by this process; the real directory follows at
//!    [`Files::sync_dir`]. A file whose name is not durable lies under a hidden name.
//!
//! Killing the process, or calling [`PowerCutFiles::cut`], is then a power cut: what remains is in the real
//! directory, to be opened by anybody. [`PowerCutFiles::new`] removes hidden names a former cut left.
//!
//! Left out: reordering between directories, and bit rot (other tests flip bits).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{File, Files, Open, OsFiles};
use crate::rng::SeededRng;

const SECTOR: usize = 512;
const HIDDEN: &str = ".not-durable-";

/// See the module's header.
#[derive(Debug)]
pub struct PowerCutFiles {
    state: Arc<State>,
    names: Mutex<BTreeMap<PathBuf, BTreeMap<String, Arc<Inode>>>>,
}

#[derive(Debug)]
struct State {
    os: OsFiles,
    is_cut: AtomicBool,
    next_hidden: AtomicU64,
    rng: Mutex<SeededRng>,
}

/// A file's content: the real file, and what of it is not durable.
#[derive(Debug)]
struct Inode {
    real: Box<dyn File>,
    /// Name in the real directory; a hidden one until the directory is synced.
    real_name: Mutex<String>,
    overlay: Mutex<Overlay>,
}

#[derive(Debug, Default)]
struct Overlay {
    sectors: BTreeMap<u64, Box<[u8; SECTOR]>>,
    length: u64,
}

#[derive(Debug)]
struct PowerCutFile {
    state: Arc<State>,
    inode: Arc<Inode>,
    is_read_only: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn split(path: &Path) -> io::Result<(PathBuf, String)> {
    let name = path.file_name().and_then(|name| name.to_str());
    match (path.parent(), name) {
        (Some(dir), Some(name)) => Ok((dir.to_path_buf(), name.to_owned())),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} names no file", path.display()),
        )),
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} does not exist", path.display()))
}

impl State {
    fn check(&self) -> io::Result<()> {
        if self.is_cut.load(Ordering::Acquire) {
            Err(io::Error::other("the power is cut"))
        } else {
            Ok(())
        }
    }
}

impl PowerCutFiles {
    /// Files whose torn writes are drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State {
            os: OsFiles,
            is_cut: AtomicBool::new(false),
            next_hidden: AtomicU64::new(0),
            rng: Mutex::new(SeededRng::new(seed)),
        };
        Self {
            state: Arc::new(state),
            names: Mutex::default(),
        }
    }

    /// Cuts the power: from now on every call fails, and the real directory holds what a machine would find
    /// when it comes up again.
    pub fn cut(&self) {
        self.state.is_cut.store(true, Ordering::Release);
    }

    /// The names in `dir` as this process sees them, read from the real directory the first time.
    fn in_dir<T>(
        &self,
        dir: &Path,
        act: impl FnOnce(&mut BTreeMap<String, Arc<Inode>>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.state.check()?;
        let mut names = lock(&self.names);
        if !names.contains_key(dir) {
            let mut found = BTreeMap::new();
            for name in self.state.os.list(dir)? {
                if name.starts_with(HIDDEN) {
                    self.state.os.remove(&dir.join(&name))?;
                } else {
                    let real = self.state.os.open(&dir.join(&name), Open::Existing)?;
                    found.insert(name.clone(), Arc::new(Inode::new(real, name)?));
                }
            }
            names.insert(dir.to_path_buf(), found);
        }
        act(names.get_mut(dir).expect("inserted above"))
    }
}

impl Inode {
    fn new(real: Box<dyn File>, real_name: String) -> io::Result<Self> {
        let length = real.len()?;
        let overlay = Overlay {
            sectors: BTreeMap::new(),
            length,
        };
        Ok(Self {
            real,
            real_name: Mutex::new(real_name),
            overlay: Mutex::new(overlay),
        })
    }

    fn read_sector(&self, number: u64) -> io::Result<Box<[u8; SECTOR]>> {
        let mut sector = Box::new([0; SECTOR]);
        self.real.read_at(&mut sector[..], number * SECTOR as u64)?;
        Ok(sector)
    }
}

impl Files for PowerCutFiles {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.state.check()?;
        self.state.os.create_dir_all(dir)
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let (dir, name) = split(path)?;
        let inode = self.in_dir(&dir, |names| match (how, names.get(&name)) {
            (Open::Existing | Open::ReadOnly, Some(inode)) => Ok(inode.clone()),
            (Open::Existing | Open::ReadOnly, None) => Err(not_found(path)),
            (Open::New, Some(_)) => Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} exists", path.display()),
            )),
            (Open::New, None) => {
                let number = self.state.next_hidden.fetch_add(1, Ordering::Relaxed);
                let hidden = format!("{HIDDEN}{}-{number}", std::process::id());
                let real = self.state.os.open(&dir.join(&hidden), Open::New)?;
                let inode = Arc::new(Inode::new(real, hidden)?);
                names.insert(name, inode.clone());
                Ok(inode)
            }
        })?;
        Ok(Box::new(PowerCutFile {
            state: self.state.clone(),
            inode,
            is_read_only: how == Open::ReadOnly,
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.in_dir(dir, |names| Ok(names.keys().cloned().collect()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from_dir, from_name), (to_dir, to_name)) = (split(from)?, split(to)?);
        if from_dir != to_dir {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a rename stays in its directory",
            ));
        }
        self.in_dir(&from_dir, |names| {
            let inode = names.remove(&from_name).ok_or_else(|| not_found(from))?;
            names.insert(to_name, inode);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = split(path)?;
        self.in_dir(&dir, |names| {
            names.remove(&name).map(drop).ok_or_else(|| not_found(path))
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let os = self.state.os;
        self.in_dir(dir, |names| {
            // Removed names first, moved out of the way, so that a name can be taken over by another file.
            let wanted: BTreeMap<String, String> = names
                .iter()
                .map(|(name, inode)| (lock(&inode.real_name).clone(), name.clone()))
                .collect();
            for real in os.list(dir)? {
                if !wanted.contains_key(&real) {
                    os.remove(&dir.join(&real))?;
                }
            }
            // Two steps, so that a cycle of renames works: everything to a hidden name, then to its own.
            let moved: Vec<_> = names
                .iter()
                .filter(|(name, inode)| *lock(&inode.real_name) != **name)
                .collect();
            for (_, inode) in &moved {
                let number = self.state.next_hidden.fetch_add(1, Ordering::Relaxed);
                let hidden = format!("{HIDDEN}{}-{number}", std::process::id());
                let mut real_name = lock(&inode.real_name);
                if !real_name.starts_with(HIDDEN) {
                    os.rename(&dir.join(&*real_name), &dir.join(&hidden))?;
                    *real_name = hidden;
                }
            }
            for (name, inode) in moved {
                let mut real_name = lock(&inode.real_name);
                os.rename(&dir.join(&*real_name), &dir.join(name))?;
                *real_name = name.clone();
            }
            os.sync_dir(dir)
        })
    }
}

impl File for PowerCutFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.state.check()?;
        let overlay = lock(&self.inode.overlay);
        let available = usize::try_from(overlay.length.saturating_sub(offset)).map_err(io::Error::other)?;
        let wanted = buffer.len().min(available);
        let buffer = &mut buffer[..wanted];
        let from_real = self.inode.real.read_at(buffer, offset)?;
        buffer[from_real..].fill(0);
        let first = offset / SECTOR as u64;
        let last = (offset + wanted as u64).div_ceil(SECTOR as u64);
        for (&number, sector) in overlay.sectors.range(first..last) {
            let start = number * SECTOR as u64;
            let begin = start.max(offset);
            let end = (start + SECTOR as u64).min(offset + wanted as u64);
            buffer[(begin - offset) as usize..(end - offset) as usize]
                .copy_from_slice(&sector[(begin - start) as usize..(end - start) as usize]);
        }
        Ok(wanted)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.state.check()?;
        if self.is_read_only {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the file was opened for reading",
            ));
        }
        let mut overlay = lock(&self.inode.overlay);
        let mut rng = lock(&self.state.rng);
        let mut written = 0;
        while written < bytes.len() {
            let position = offset + written as u64;
            let number = position / SECTOR as u64;
            let within = (position % SECTOR as u64) as usize;
            let part = (SECTOR - within).min(bytes.len() - written);
            let sector = match overlay.sectors.entry(number) {
                std::collections::btree_map::Entry::Occupied(occupied) => occupied.into_mut(),
                std::collections::btree_map::Entry::Vacant(vacant) => vacant.insert(match part {
                    SECTOR => Box::new([0; SECTOR]),
                    _ => self.inode.read_sector(number)?,
                }),
            };
            sector[within..within + part].copy_from_slice(&bytes[written..written + part]);
            if rng.chance(1, 8) {
                self.inode
                    .real
                    .write_at(&sector[..within + part], number * SECTOR as u64)?;
            }
            written += part;
        }
        overlay.length = overlay.length.max(offset + bytes.len() as u64);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.state.check()?;
        Ok(lock(&self.inode.overlay).length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state.check()?;
        let mut overlay = lock(&self.inode.overlay);
        let length = overlay.length;
        // Neighbouring sectors go out in one write.
        let mut run: Vec<u8> = Vec::new();
        let mut run_start = 0;
        for (number, sector) in std::mem::take(&mut overlay.sectors) {
            let start = number * SECTOR as u64;
            if !run.is_empty() && run_start + run.len() as u64 != start {
                self.inode.real.write_at(&run, run_start)?;
                run.clear();
            }
            if run.is_empty() {
                run_start = start;
            }
            let end = (length - start).min(SECTOR as u64) as usize;
            run.extend_from_slice(&sector[..end]);
        }
        if !run.is_empty() {
            self.inode.real.write_at(&run, run_start)?;
        }
        self.state.check()
    }
}
