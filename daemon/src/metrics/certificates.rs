//! How long the certificates of a daemon are good: what alerts and `berth doctor` look at.

use super::Page;

/// Tells when a daemon's own certificate, and that of the authority that signs, begin and end, in seconds since the epoch.
pub fn tell_certificates(page: &mut Page, own: (f64, f64), authority: (f64, f64)) {
    let both = [("own", own), ("authority", authority)];
    let mut begins = page.gauge(
        "berth_certificate_begin_timestamp_seconds",
        "When a certificate became good, in seconds since the epoch: the daemon's own, and that of the authority that signs.",
    );
    for (certificate, (begin, _)) in both {
        begins.value(&[("certificate", certificate)], begin);
    }
    let mut ends = page.gauge(
        "berth_certificate_end_timestamp_seconds",
        "When a certificate ends, in seconds since the epoch: the daemon's own, and that of the authority that signs.",
    );
    for (certificate, (_, end)) in both {
        ends.value(&[("certificate", certificate)], end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_certificates_are_told_with_their_beginning_and_their_end() {
        let mut page = Page::default();
        tell_certificates(&mut page, (1_800_000_000.0, 1_800_086_400.5), (1.0, 2.0));
        let text = page.into_text();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "berth_certificate_begin_timestamp_seconds{certificate=\"own\"} 1800000000",
                "berth_certificate_begin_timestamp_seconds{certificate=\"authority\"} 1",
                "berth_certificate_end_timestamp_seconds{certificate=\"own\"} 1800086400.5",
                "berth_certificate_end_timestamp_seconds{certificate=\"authority\"} 2",
            ]
        );
    }
}
