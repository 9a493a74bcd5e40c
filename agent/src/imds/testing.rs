//! An instance metadata service on the loopback.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Serves these answers, by path; tells where. It gives tokens, and answers where the newest is shown; the first is never taken.
pub(crate) async fn serve(answers: BTreeMap<String, String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut issued = 0;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.unwrap());
            }
            let asked = String::from_utf8(asked).unwrap();
            let path = asked.split(' ').nth(1).unwrap_or_default();
            let (status, body) = if asked.starts_with("PUT /latest/api/token ") && asked.contains("ttl-seconds: 21600")
            {
                issued += 1;
                ("200 OK", format!("token-{issued}"))
            } else if !asked.contains(&format!("x-aws-ec2-metadata-token: token-{issued}\r\n")) || issued % 2 == 1 {
                ("401 Unauthorized", String::new())
            } else if let (true, Some(answer)) = (asked.starts_with("GET "), answers.get(path)) {
                ("200 OK", answer.clone())
            } else {
                ("404 Not Found", String::new())
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    authority
}
