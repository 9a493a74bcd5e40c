//! The web server of the demonstration: one page, on port 80 of its container.
//!
//! Linked statically it runs in an image that holds nothing else. It handles no signals: Docker's init does.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most that is read of a request.
const REQUEST_AT_MOST: u64 = 8 * 1024;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is closed there is nobody to tell.
            let _unheard = writeln!(io::stderr(), "cannot listen on port 80: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80")?;
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            // A client that goes away loses its answer and nothing else.
            let _gone = answer(&stream);
        });
    }
    Ok(())
}

fn answer(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    for line in BufReader::new(stream.take(REQUEST_AT_MOST)).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let page = page();
    let length = page.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{page}"
    )
}

fn page() -> String {
    // In a container, Docker's short id of it.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let (host, time) = (host.trim(), time());
    format!(
        "<!doctype html>\n<title>Berth</title>\n<h1>This page is served by a task of Berth</h1>\n\
         <p>Container: <code>{host}</code></p>\n<p>Time: <code>{time}</code></p>\n"
    )
}

/// The time of the day in UTC.
fn time() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let second = since.map_or(0, |since| since.as_secs()) % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{hour:02}:{minute:02}:{second:02} UTC")
}
