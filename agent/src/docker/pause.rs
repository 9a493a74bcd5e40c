//! The image of pause containers, which no registry has: the agent makes it where it is missing.
//!
//! It holds one file, `/pause`: an executable of a few instructions that waits for ever. They are written here as bytes,
//! so that an agent carries the program for its host without a binary in the repository or a compiler at hand.

use std::time::Duration;

use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::image::PulledImage;
use berth_agent_core::pause::IMAGE;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::Docker;
use super::calls::Call;
use super::failure::{from_bollard, late};

const IMPORT: Duration = Duration::from_secs(60);
const PATH: &str = "pause";
/// Where the program lies in memory; the first 64 KiB are nobody's.
const BASE: u64 = 0x40_0000;
/// Bytes of the two headers before the instructions.
const HEADERS: u16 = FILE_HEADER + SEGMENT_HEADER;
const FILE_HEADER: u16 = 64;
const SEGMENT_HEADER: u16 = 56;

impl Docker {
    /// The image, made where Docker does not have it, or not any more.
    pub(crate) async fn pause_image(&self) -> Result<PulledImage, Failure> {
        if let Some(image) = self.image(IMAGE).await? {
            return Ok(image);
        }
        self.import_pause_image().await?;
        let made = self.image(IMAGE).await?;
        made.ok_or_else(|| {
            Failure::new(
                FailureKind::Faltered,
                format!("image '{IMAGE}' was made and is not there"),
            )
        })
    }

    /// Done twice at the same time it is there twice, and the name is the later one's.
    async fn import_pause_image(&self) -> Result<(), Failure> {
        let program = program().ok_or_else(|| unable(&format!("no program for {}", std::env::consts::ARCH)))?;
        let archive = archive(&program).map_err(|error| unable(&error.to_string()))?;
        let (repository, tag) = IMAGE.split_once(':').unwrap_or((IMAGE, "latest"));
        let options = CreateImageOptionsBuilder::new()
            .from_src("-")
            .repo(repository)
            .tag(tag)
            .changes(vec![format!("ENTRYPOINT [\"/{PATH}\"]")])
            .build();
        let mut progress = std::pin::pin!(self.client.create_image(
            Some(options),
            Some(bollard::body_full(archive.into())),
            None
        ));
        let whole = async {
            while let Some(step) = progress.next().await {
                step.map_err(from_bollard)?;
            }
            Ok(())
        };
        let timed = self.calls.begin(Call::ImportImage);
        let imported = tokio::time::timeout(IMPORT, whole).await;
        timed.ended(matches!(imported, Ok(Ok(()))));
        match imported {
            Ok(result) => result,
            Err(_) => Err(late(Call::ImportImage, IMPORT)),
        }
    }
}

fn unable(problem: &str) -> Failure {
    Failure::new(
        FailureKind::Unprepared,
        format!("the image '{IMAGE}' cannot be made: {problem}"),
    )
}

/// The image's only layer.
fn archive(program: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o555);
    header.set_size(u64::try_from(program.len()).unwrap_or(u64::MAX));
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, PATH, program)?;
    archive.into_inner()
}

/// An ELF executable of one segment for the processor that the agent was built for.
///
/// Layout and numbers: elf(5).
fn program() -> Option<Vec<u8>> {
    let (machine, code): (u16, Vec<u8>) = match std::env::consts::ARCH {
        "x86_64" => (62, x86_64()),
        "aarch64" => (183, aarch64()),
        _ => return None,
    };
    let length = u64::from(HEADERS) + u64::try_from(code.len()).ok()?;
    let entry = BASE + u64::from(HEADERS);
    let mut elf = Vec::new();
    // The file: magic, 64 bits, little end first, version 1, System V, padding.
    elf.extend(b"\x7fELF\x02\x01\x01\x00");
    elf.extend([0; 8]);
    // Executable at a fixed address, for which processor, version.
    elf.extend(2_u16.to_le_bytes());
    elf.extend(machine.to_le_bytes());
    elf.extend(1_u32.to_le_bytes());
    // Where to begin, where the segment headers lie, no section headers, no flags.
    elf.extend(entry.to_le_bytes());
    elf.extend(u64::from(FILE_HEADER).to_le_bytes());
    elf.extend(0_u64.to_le_bytes());
    elf.extend(0_u32.to_le_bytes());
    // Sizes and counts: this header, a segment header of which there is one, section headers of which there is none.
    for half in [FILE_HEADER, SEGMENT_HEADER, 1, 64, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    // The segment: loaded, readable and executable; the whole file from its first byte.
    elf.extend(1_u32.to_le_bytes());
    elf.extend(5_u32.to_le_bytes());
    // Offset in the file, address twice, bytes in the file and in memory, alignment to a page of any processor here.
    for word in [0, BASE, BASE, length, length, 0x1_0000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    Some(elf)
}

/// `pause(2)`, number 34, again and again: a signal that has a handler or is ignored makes it return.
fn x86_64() -> Vec<u8> {
    vec![
        0x6a, 0x22, // push 34
        0x58, // pop rax
        0x0f, 0x05, // syscall
        0xeb, 0xf9, // jmp to the first byte: 7 back
    ]
}

/// This processor has no `pause(2)`: `ppoll(2)`, number 73, for no file and without a timeout, again and again.
fn aarch64() -> Vec<u8> {
    let instructions: [u32; 8] = [
        0xd280_0000, // mov x0, 0: no files
        0xd280_0001, // mov x1, 0: of which there are none
        0xd280_0002, // mov x2, 0: no timeout
        0xd280_0003, // mov x3, 0: no other set of signals
        0xd280_0004, // mov x4, 0: of no bytes
        0xd280_0928, // mov x8, 73
        0xd400_0001, // svc 0
        0x17ff_fff9, // b to the first instruction: 7 back
    ];
    instructions.into_iter().flat_map(u32::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::testing::write_program;

    #[test]
    fn the_program_waits_until_it_is_told_to_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(PATH);
        write_program(&path, &program().unwrap());
        let mut child = Command::new(&path).spawn().unwrap();
        let asleep = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            stat.contains(&format!("({PATH}) S "))
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !asleep() {
            assert!(Instant::now() < deadline, "it never sleeps");
            std::thread::yield_now();
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(15));
    }

    #[test]
    fn the_image_is_one_small_file() {
        let bytes = archive(&program().unwrap()).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries: Vec<_> = archive.entries().unwrap().map(Result::unwrap).collect();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].path().unwrap().to_str(), Some(PATH));
        assert!(entries[0].size() < 200);
    }

    #[test]
    fn loops_go_back_to_their_beginning() {
        // The last byte is the distance from behind the jump; the last word's low 26 bits count instructions.
        assert_eq!(i8::from_le_bytes([x86_64()[6]]), -7);
        assert_eq!(
            aarch64()[28..],
            (0x1400_0000_u32 | (0x3ff_ffff & (-7_i32).cast_unsigned())).to_le_bytes()
        );
    }
}
