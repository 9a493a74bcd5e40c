//! What the kernel says of this process, under the names that every Prometheus client library gives it.

use std::fs;

use super::Page;

/// Tells what this process uses, and which build of Berth it is. What the kernel does not say is left out.
pub fn tell_process(page: &mut Page, program: &str, version: &str) {
    page.gauge("berth_build_info", "Which program and build answers; always 1.")
        .value(&[("program", program), ("version", version)], 1.0);
    if let Some((cpu, resident)) = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| read(&stat)) {
        page.counter("process_cpu_seconds_total", "CPU time of the process, user and system.")
            .only(cpu);
        page.gauge(
            "process_resident_memory_bytes",
            "Memory of the process that is resident.",
        )
        .only(resident);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.gauge("process_open_fds", "Files that the process has open.")
            .only(open.count() as f64);
    }
}

/// CPU seconds and resident bytes of a line of `/proc/<pid>/stat` (proc_pid_stat(5)).
fn read(stat: &str) -> Option<(f64, f64)> {
    // The name of the program, which comes before, may contain anything.
    let (_, after) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
    // Fields 14, 15 and 24 of the line, of which two have been taken off.
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let page = rustix::param::page_size() as f64;
    Some(((number(11)? + number(12)?) / ticks, number(21)? * page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_process_is_read_whatever_its_name() {
        let line = "42 (a ) b) S 1 42 42 0 -1 4194560 900 0 3 0 150 50 0 0 20 0 5 0 8700 300000000 2560 184467 1 1";
        let page = rustix::param::page_size() as f64;
        assert_eq!(read(line), Some((2.0, 2560.0 * page)));
        assert_eq!(read("42 (short) S 1"), None);
    }

    #[test]
    fn this_process_is_told() {
        let mut page = Page::default();
        tell_process(&mut page, "test", "1");
        let text = page.into_text();
        for name in [
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
            "process_open_fds ",
        ] {
            assert!(text.lines().any(|line| line.starts_with(name)), "{text}");
        }
    }
}
