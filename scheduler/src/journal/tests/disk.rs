//! A disk that loses and tears what was not synced when its power goes.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Clones are the same disk.
#[derive(Debug, Clone)]
pub(super) struct Disk(Arc<Mutex<Platter>>);

#[derive(Debug)]
struct Platter {
    synced: Vec<u8>,
    /// With what was not synced yet.
    seen: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    draws: u64,
    powered: bool,
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self::with(Vec::new(), seed)
    }

    fn with(content: Vec<u8>, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Platter {
            synced: content.clone(),
            seen: content,
            unsynced: Vec::new(),
            draws: seed,
            powered: true,
        })))
    }

    /// Takes the power away for good, and gives the disk as it is found after: of what was not synced, any sectors.
    pub(super) fn crash(&self) -> Self {
        let mut platter = self.0.lock().unwrap();
        platter.powered = false;
        let mut content = std::mem::take(&mut platter.synced);
        for (offset, written) in std::mem::take(&mut platter.unsynced) {
            for (sector, bytes) in written.chunks(SECTOR).enumerate() {
                let start = offset + sector * SECTOR;
                let end = (start + bytes.len()).min(content.len());
                if start < end && platter.draw() {
                    content[start..end].copy_from_slice(&bytes[..end - start]);
                }
            }
        }
        Self::with(content, platter.draws)
    }

    fn powered<T>(&self, work: impl FnOnce(&mut Platter) -> io::Result<T>) -> io::Result<T> {
        let mut platter = self.0.lock().unwrap();
        if !platter.powered {
            return Err(io::Error::other("the power is gone"));
        }
        work(&mut platter)
    }
}

impl Platter {
    fn draw(&mut self) -> bool {
        self.draws = self.draws.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.draws >> 63 == 1
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.powered(|platter| Ok(u64::try_from(platter.seen.len()).unwrap()))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.powered(|platter| {
            let start = place(offset);
            let Some(found) = platter.seen.get(start..start + out.len()) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            out.copy_from_slice(found);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.powered(|platter| {
            platter.seen.resize(place(len), 0);
            platter.synced.resize(place(len), 0);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.powered(|platter| {
            platter.synced.clone_from(&platter.seen);
            platter.unsynced.clear();
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.powered(|platter| {
            let start = place(offset);
            let end = start + data.len();
            if platter.seen.len() < end {
                platter.seen.resize(end, 0);
                platter.synced.resize(end, 0);
            }
            platter.seen[start..end].copy_from_slice(data);
            platter.unsynced.push((start, data.to_vec()));
            Ok(())
        })
    }
}
