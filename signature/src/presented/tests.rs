//! AWS's published examples, and every way in which a request can be wrong.

use proptest::prelude::*;

use super::*;
use crate::sign::Credentials;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const DATE: &str = "20150830T123600Z";
const HOST: (&str, &[u8]) = ("host", b"example.amazonaws.com");

fn now() -> Timestamp {
    SigningDate::from_basic(DATE).unwrap().at()
}

fn later(seconds: u64) -> Timestamp {
    now() + Duration::from_secs(seconds)
}

fn example() -> Credentials {
    Credentials {
        access_key: "AKIDEXAMPLE".into(),
        secret: SECRET.into(),
        token: None,
    }
}

/// Reads, checks and verifies a request that was signed for the service `service`.
fn check(request: &HttpRequest<'_>, now: Timestamp) -> Result<Presented, Fault> {
    let presented = Presented::read(request)?;
    presented.check_scope(&["service"], now)?;
    presented.verify(request, SECRET)?;
    Ok(presented)
}

/// The request with the `Authorization` header, verified.
fn with_header(request: &HttpRequest<'_>, authorization: &str, now: Timestamp) -> Result<Presented, Fault> {
    let mut headers = request.headers.to_vec();
    headers.push(("authorization", authorization.as_bytes()));
    let request = HttpRequest {
        headers: &headers,
        ..*request
    };
    check(&request, now)
}

/// Method, query, headers besides host and date, the list of signed headers, the signature.
type Example<'a> = (&'a str, &'a str, &'a [(&'a str, &'a [u8])], &'a str, &'a str);

#[test]
fn aws_examples_are_verified() {
    let date = ("x-amz-date", DATE.as_bytes());
    // Names, queries, headers and signatures of AWS's test suite for Signature Version 4.
    let cases: [Example<'_>; 6] = [
        (
            "GET",
            "",
            &[],
            "host;x-amz-date",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "POST",
            "",
            &[],
            "host;x-amz-date",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "GET",
            "Param2=value2&Param1=value1",
            &[],
            "host;x-amz-date",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "GET",
            "",
            &[
                ("my-header1", b"value2"),
                ("my-header1", b"value2"),
                ("my-header1", b"value1"),
            ],
            "host;my-header1;x-amz-date",
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ),
        (
            "GET",
            "",
            &[("my-header1", b"value1,value2,value3")],
            "host;my-header1;x-amz-date",
            "ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d00705980573d8ff790",
        ),
        (
            "GET",
            "",
            &[("my-header1", b" value1"), ("my-header2", b" \"a   b   c\"")],
            "host;my-header1;my-header2;x-amz-date",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
    ];
    for (method, query, headers, signed, signature) in cases {
        let mut all = vec![HOST, date];
        all.extend_from_slice(headers);
        let request = HttpRequest {
            method,
            path: "/",
            query,
            headers: &all,
            body: b"",
        };
        let scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
        let header = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={signed}, Signature={signature}");
        assert_eq!(with_header(&request, &header, now()).map(|_| ()), Ok(()), "{signature}");
        // Without blanks, as some clients write it.
        let header = header.replace(", ", ",");
        assert_eq!(with_header(&request, &header, now()).map(|_| ()), Ok(()), "{signature}");
        let wrong = header.replace(signature, &"0".repeat(64));
        let fault = with_header(&request, &wrong, now()).unwrap_err();
        assert_eq!(fault.class, FaultClass::InvalidSignature);
        assert!(
            fault
                .message
                .starts_with("The request signature we calculated does not match"),
            "{fault}"
        );
    }
}

#[test]
fn the_key_of_a_day_is_that_of_awss_example() {
    let scope = Scope {
        day: "20150830".into(),
        region: "us-east-1".into(),
        service: "iam".into(),
    };
    let key = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9";
    assert_eq!(digest::hex(&signing_key(SECRET, &scope)), key);
}

fn refused(header: &str, class: FaultClass, says: &str) {
    let headers = [HOST, ("x-amz-date", DATE.as_bytes())];
    let request = HttpRequest {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
        body: b"{}",
    };
    let fault = with_header(&request, header, now()).unwrap_err();
    assert_eq!(fault.class, class, "{header}: {fault}");
    assert!(fault.message.contains(says), "{header}: {fault}");
}

#[test]
fn what_a_header_lacks_is_named() {
    use FaultClass::{IncompleteSignature as Incomplete, InvalidSignature as Invalid};
    let zeros = "0".repeat(64);
    let scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
    refused("Bearer abc", Incomplete, "Unsupported AWS 'algorithm': 'Bearer'");
    refused("", Incomplete, "Unsupported AWS 'algorithm': ''");
    let all = "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. \
               Authorization header requires 'SignedHeaders' parameter.";
    refused("AWS4-HMAC-SHA256", Incomplete, all);
    let of = |credential: &str, signed: &str, signature: &str| {
        format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}")
    };
    refused(
        &of("a/b", "host", &zeros),
        Incomplete,
        "exactly 5 slash-delimited elements",
    );
    refused(
        &of(&scope.replace("aws4", "aws5"), "host", &zeros),
        Invalid,
        "valid terminator: 'aws4_request', not 'aws5_request'",
    );
    refused(&of(scope, "host;", &zeros), Incomplete, "SignedHeaders 'host;'");
    refused(&of(scope, "host", "xyz"), Incomplete, "Signature 'xyz'");
    refused(
        &format!("{}, Nonce=1", of(scope, "host", &zeros)),
        Incomplete,
        "'Nonce' is no parameter",
    );
    refused(
        &format!("{}, Credential=x", of(scope, "host", &zeros)),
        Incomplete,
        "one 'Credential' parameter",
    );
    refused(
        &of(scope, "x-amz-date", &zeros),
        Invalid,
        "'Host' or ':authority' must be",
    );
    refused(
        &of(scope, "host", &zeros),
        Invalid,
        "'x-amz-date' must be a 'SignedHeader'",
    );
    let signed = "host;x-amz-date";
    refused(
        &of(&scope.replace("20150830", "20150829"), signed, &zeros),
        Invalid,
        "'20150829' != '20150830', from '20150830T123600Z'",
    );
    refused(
        &of(&scope.replace("service", "s3"), signed, &zeros),
        Invalid,
        "scoped to correct service: 'service', not 's3'",
    );
    refused(
        &of(&scope.replace("us-east-1", ""), signed, &zeros),
        Invalid,
        "valid region",
    );
}

#[test]
fn nothing_presented_is_a_missing_token() {
    let headers = [HOST];
    let request = HttpRequest {
        method: "POST",
        path: "/",
        query: "a=b",
        headers: &headers,
        body: b"",
    };
    let fault = check(&request, now()).unwrap_err();
    assert_eq!(fault.class, FaultClass::MissingAuthenticationToken);
    assert_eq!(fault.message, "Missing Authentication Token");
    let headers = [HOST, ("authorization", &b"a"[..]), ("authorization", &b"b"[..])];
    let twice = HttpRequest {
        headers: &headers,
        ..request
    };
    assert!(
        check(&twice, now())
            .unwrap_err()
            .message
            .contains("one Authorization header")
    );
}

fn signed_at(headers: &[(&str, &[u8])], body: &[u8], at: Timestamp) -> Result<Presented, Fault> {
    let request = HttpRequest {
        method: "POST",
        path: "/",
        query: "",
        headers,
        body,
    };
    let added = example().sign(&request, SigningDate::from_basic(DATE).unwrap(), "eu-west-1", "service");
    let mut all = headers.to_vec();
    all.extend(added.iter().map(|(name, value)| (*name, value.as_bytes())));
    let request = HttpRequest {
        headers: &all,
        ..request
    };
    check(&request, at)
}

#[test]
fn a_signature_is_good_for_five_minutes_around_its_time() {
    let at = |now| signed_at(&[HOST], b"", now).map(|_| ()).map_err(|fault| fault.message);
    for good in [later(0), later(300)] {
        assert_eq!(at(good), Ok(()));
    }
    assert_eq!(
        at(later(301)).unwrap_err(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"
    );
    let before = Timestamp::from_millis(now().as_millis() - 301_000);
    assert_eq!(
        at(before).unwrap_err(),
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)"
    );
    assert_eq!(signed_at(&[HOST], b"", now()).unwrap().good_until(), later(300));
}

#[test]
fn the_body_must_be_signed_and_be_what_a_header_says_that_it_is() {
    let hash = digest::hex(&digest::sha256(b"{}"));
    let with = |claimed: &str| signed_at(&[HOST, ("x-amz-content-sha256", claimed.as_bytes())], b"{}", now());
    assert_eq!(with(&hash).map(|_| ()), Ok(()));
    for (claimed, says) in [("UNSIGNED-PAYLOAD", "wants the body to be signed"), ("00", "is '00'")] {
        let fault = with(claimed).unwrap_err();
        assert_eq!(fault.class, FaultClass::InvalidSignature);
        assert!(fault.message.contains(says), "{fault}");
    }
}

#[test]
fn the_date_header_serves_where_there_is_no_other() {
    let headers = [HOST, ("date", &b"Sun, 30 Aug 2015 12:36:00 GMT"[..])];
    let request = HttpRequest {
        method: "GET",
        path: "/",
        query: "",
        headers: &headers,
        body: b"",
    };
    let date = SigningDate::from_basic(DATE).unwrap();
    let scope = Scope {
        day: date.day(),
        region: "r".into(),
        service: "service".into(),
    };
    let canonical = request.canonical(&["date".into(), "host".into()]);
    let string = string_to_sign(date, &scope, &canonical);
    let signature = digest::hex(&digest::hmac(&signing_key(SECRET, &scope), string.as_bytes()));
    let header = format!("AWS4-HMAC-SHA256 Credential=AKID/{scope}, SignedHeaders=date;host, Signature={signature}");
    assert_eq!(
        with_header(&request, &header, now()).map(|presented| presented.date),
        Ok(date)
    );
    let wrong = [HOST, ("date", &b"yesterday"[..])];
    let request = HttpRequest {
        headers: &wrong,
        ..request
    };
    let fault = with_header(&request, &header, now()).unwrap_err();
    assert!(fault.message.contains("Got 'yesterday'"), "{fault}");
}

/// A signed URL that is good for a minute.
fn url(change: impl Fn(String) -> String) -> Result<Presented, Fault> {
    let date = SigningDate::from_basic(DATE).unwrap();
    let scope = Scope {
        day: date.day(),
        region: "r".into(),
        service: "service".into(),
    };
    let credential = format!("AKID%2F{}", scope.to_string().replace('/', "%2F"));
    let query = format!(
        "cluster=a%20b&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={DATE}&X-Amz-Expires=60\
         &X-Amz-SignedHeaders=host"
    );
    let headers = [HOST];
    let request = HttpRequest {
        method: "GET",
        path: "/events",
        query: &query,
        headers: &headers,
        body: b"",
    };
    let string = string_to_sign(date, &scope, &request.canonical(&["host".into()]));
    let signature = digest::hex(&digest::hmac(&signing_key(SECRET, &scope), string.as_bytes()));
    let query = change(format!("{query}&X-Amz-Signature={signature}"));
    let request = HttpRequest {
        query: &query,
        ..request
    };
    check(&request, later(60))
}

#[test]
fn a_signed_url_is_verified_and_good_for_as_long_as_it_says() {
    let presented = url(|query| query).unwrap();
    assert_eq!(
        (presented.access_key.as_str(), presented.good_until()),
        ("AKID", later(60))
    );
    for (from, to, says) in [
        ("a%20b", "a%20c", "does not match the signature"),
        ("Expires=60", "Expires=61", "does not match the signature"),
        ("Expires=60", "Expires=59", "Signature expired"),
        ("Expires=60", "Expires=0", "X-Amz-Expires '0'"),
        ("&X-Amz-Expires=60", "", "must include 'X-Amz-Expires'"),
        ("&X-Amz-Date", "&X-Amz-Date=1&X-Amz-Date", "one 'X-Amz-Date' parameter"),
        ("AWS4-HMAC-SHA256", "AWS4-X", "Unsupported AWS 'algorithm'"),
        ("SignedHeaders=host", "SignedHeaders=x", "'Host' or ':authority'"),
    ] {
        let fault = url(|query| query.replacen(from, to, 1)).unwrap_err();
        assert!(fault.message.contains(says), "{to}: {fault}");
    }
}

proptest! {
    #[test]
    fn what_a_client_signs_is_verified_and_nothing_else(
        path in "(/[a-zA-Z0-9%._~ -]{0,8}){1,3}",
        query in "([a-z]{1,3}=[a-z%0-9+/]{0,5}&?){0,3}",
        value in "[ -~]{0,20}",
        body in proptest::collection::vec(any::<u8>(), 0..64),
        token in proptest::option::of("[a-z]{1,10}"),
        at in 0..3_usize,
    ) {
        let headers = [HOST, ("x-amz-target", value.as_bytes()), ("x-other", b"1"), ("x-other", b"2")];
        let request = HttpRequest { method: "POST", path: &path, query: &query, headers: &headers, body: &body };
        let credentials = Credentials { token: token.clone(), ..example() };
        let added = credentials.sign(&request, SigningDate::from_basic(DATE).unwrap(), "r", "service");
        let mut all = headers.to_vec();
        all.extend(added.iter().map(|(name, value)| (*name, value.as_bytes())));
        let signed = HttpRequest { headers: &all, ..request };
        let presented = check(&signed, now()).unwrap();
        prop_assert_eq!(presented.token, token);

        let longer = [&body[..], b"x"].concat();
        let target = [value.as_bytes(), b"x"].concat();
        let mut others = all.clone();
        others[1].1 = &target;
        let changed = match at {
            0 => HttpRequest { body: &longer, ..signed },
            1 => HttpRequest { headers: &others, ..signed },
            _ => HttpRequest { method: "PUT", ..signed },
        };
        prop_assert_eq!(check(&changed, now()).unwrap_err().class, FaultClass::InvalidSignature);
    }
}
