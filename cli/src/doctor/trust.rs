//! What is wrong with certificates, and between two that do not believe each other. Pure.

use std::time::Duration;

use berth_model::time::Timestamp;
use berth_proto::v1::{Authority, Member};
use berth_tls::Distrust;
use berth_trust::Life;

use super::{Finding, listed};

/// From when on before its end an authority is warned of: hosts take hours to follow another, operators longer.
const AUTHORITY: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const ROTATE: &str = "Make another authority: `berth-scheduler ca rotate` on the scheduler's host, and what docs/trust.md says behind it.";

/// Why a scheduler is not reached, with the reason in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreached {
    /// What it would be asked with cannot be used here.
    Unasked(String),
    /// The two sides do not believe each other.
    Distrusted(Distrust, String),
    /// It does not answer.
    Silent(String),
}

/// What a scheduler, or a host, has certificates for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The agent's own, which it renews by itself.
    Agents,
    /// The scheduler's, which it makes by itself.
    Schedulers,
    /// The operator's, which nobody renews.
    Operators,
    /// That of who signs.
    Authoritys,
}

impl Whose {
    const fn words(self) -> &'static str {
        match self {
            Self::Agents => "The agent's certificate",
            Self::Schedulers => "The scheduler's certificate",
            Self::Operators => "The certificate that `berth` shows",
            Self::Authoritys => "The certificate of the cluster's authority",
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::Agents => {
                "The agent renews it by itself while it has a scheduler. Once it has ended it needs another join token: `berth tokens \
                 create`, into /etc/berth/join-token, then `systemctl restart berth-agent`."
            }
            Self::Schedulers => {
                "The scheduler makes another by itself from the files of its authority: its log says why it does not."
            }
            Self::Operators => "Have another made: `berth access-keys certificate KEY`.",
            Self::Authoritys => ROTATE,
        }
    }

    fn ends_soon(self, life: Life, now: Timestamp) -> bool {
        match self {
            Self::Agents | Self::Schedulers | Self::Operators => life.is_overdue(now),
            Self::Authoritys => life.end.since(now) < AUTHORITY,
        }
    }
}

/// Judges when a certificate is good.
pub(crate) fn judge_life(whose: Whose, life: Life, now: Timestamp) -> Finding {
    const SUBJECT: &str = "certificates";
    let (words, end) = (whose.words(), life.end.to_rfc3339());
    if life.is_over(now) {
        return Finding::problem(SUBJECT, format!("{words} ended at {end}."), whose.advice());
    }
    if now < life.begin {
        return Finding::problem(
            SUBJECT,
            format!("{words} is not good before {}.", life.begin.to_rfc3339()),
            "This machine's clock is behind that of who made it: keep both by NTP.",
        );
    }
    match whose.ends_soon(life, now) {
        true => Finding::warning(SUBJECT, format!("{words} ends soon, at {end}."), whose.advice()),
        false => Finding::ok(SUBJECT, format!("{words} is good until {end}.")),
    }
}

/// Judges whether clients that look for the host of the URL in the certificate find it.
pub(crate) fn judge_name(unnamed_host: Option<&str>) -> Option<Finding> {
    let host = unnamed_host?;
    Some(Finding::warning(
        "certificates",
        format!("The scheduler's certificate does not name {host}: AWS's tools and browsers refuse it by that name."),
        &format!(
            "Start the scheduler with `--tls-name {host}`, or use a name that it has; agents, gateways and `berth` need neither."
        ),
    ))
}

/// Judges who is trusted and who has joined; nothing of what the scheduler does not tell.
pub(crate) fn judge_members(
    cluster: &str,
    authorities: &[Authority],
    members: &[Member],
    now: Timestamp,
) -> Vec<Finding> {
    let at = Timestamp::from_epoch_seconds;
    let mut findings = Vec::new();
    for authority in authorities.iter().filter(|authority| authority.signs) {
        // Its beginning is not told, and not asked for.
        let life = Life {
            begin: at(0.0),
            end: at(authority.expires_at),
        };
        findings.push(judge_life(Whose::Authoritys, life, now));
    }
    if authorities.len() > 1 {
        let waiting: i32 = authorities
            .iter()
            .filter(|authority| !authority.signs)
            .map(|authority| authority.members)
            .sum();
        findings.push(Finding::warning(
            "certificates",
            format!("Authorities that are trusted besides the one that signs: {}; members with a certificate of theirs: {waiting}.", authorities.len() - 1),
            "When no member has one any more: `berth-scheduler ca retire`.",
        ));
    }
    let ended: Vec<String> = members
        .iter()
        .filter(|member| at(member.expires_at) <= now)
        .map(|member| format!("{}/{}", member.role, member.id))
        .collect();
    if !ended.is_empty() {
        findings.push(Finding::warning(
            "members",
            format!("Certificates of members of cluster {cluster} have ended: {}.", listed(&ended)),
            "They come back only with another join token (`berth tokens create`). Those that are gone for good: `berth instances \
             deregister ID`, `berth members remove ID`.",
        ));
    } else if !members.is_empty() {
        let finding = format!(
            "All members of cluster {cluster} have certificates that are good: {}.",
            members.len()
        );
        findings.push(Finding::ok("members", finding));
    }
    findings
}

/// What to do about two that do not believe each other.
pub(crate) const fn advice_on(distrust: Distrust) -> &'static str {
    match distrust {
        Distrust::Ended => {
            "Compare the clocks: `date -u` here and on its host. If they agree, its log says why it makes no other certificate."
        }
        Distrust::NotYet => "This machine's clock is behind: `timedatectl` says who keeps it.",
        Distrust::Stranger => {
            "--ca names another cluster's authority, or one that was retired: copy ca.pem from the scheduler's data directory. If it \
             is the right one, somebody is in between."
        }
        Distrust::OtherName | Distrust::Other => {
            "Who answers there is no scheduler of Berth's, or something is in between that ends TLS."
        }
        Distrust::Refused => {
            "The certificate that --certificate names has ended, or is of another cluster: `berth access-keys certificate KEY` \
             makes another."
        }
        Distrust::NoTls => "Nobody speaks TLS there: begin the URL with http://, or see --tls of the scheduler.",
    }
}

/// What to do about the reason for which no scheduler has an agent: those that docs/trust.md lists.
pub(crate) fn advice_on_refusal(reason: &str) -> &'static str {
    const TOKEN: &str = "Make another token, `berth tokens create`, put it into /etc/berth/join-token and `systemctl restart berth-agent`.";
    const KNOWN: [(&str, &str); 13] = [
        ("no join token", TOKEN),
        ("was revoked", TOKEN),
        ("was used as often as it may be", TOKEN),
        ("is for the role", TOKEN),
        ("does not exist, or this is not its secret", TOKEN),
        ("ended at", TOKEN),
        (
            "is not vouched for by the authority",
            "The token is of another cluster, or somebody is in between: compare its last part with `berth ca`.",
        ),
        (
            "is a member with another key",
            "Its state directory was lost or copied: `berth instances deregister ID`, remove the state, and give it a token.",
        ),
        (
            "does not speak for",
            "Its state directory is a copy of another host's: remove it, and give this host a token of its own.",
        ),
        (
            "was removed from the cluster",
            "Somebody removed it (`berth members remove`): remove its state, and give it a token if it is to come back.",
        ),
        (
            "NotValidYet",
            "The clock of this host is behind: `timedatectl` says who keeps it.",
        ),
        (
            "not valid yet",
            "The clock of this host is behind: `timedatectl` says who keeps it.",
        ),
        (
            "UnknownIssuer",
            "The scheduler's authority was replaced while this host was away: give it a token of the new one.",
        ),
    ];
    let known = KNOWN.iter().find(|(words, _)| reason.contains(words));
    known.map_or(
        "`journalctl -u berth-agent` says whom it cannot reach, or who refuses it.",
        |(_, advice)| advice,
    )
}

/// The certificates that a daemon tells of among its figures: those that it has.
pub(crate) fn lives(figures: &str) -> Vec<(Whose, Life)> {
    let value = |family: &str, certificate: &str| {
        let series = format!("berth_certificate_{family}_timestamp_seconds{{certificate=\"{certificate}\"}} ");
        let text = figures.lines().find_map(|line| line.strip_prefix(&series))?;
        text.parse().ok().map(Timestamp::from_epoch_seconds)
    };
    let life = |certificate| {
        Some(Life {
            begin: value("begin", certificate)?,
            end: value("end", certificate)?,
        })
    };
    let all = [(Whose::Agents, life("own")), (Whose::Authoritys, life("authority"))];
    all.into_iter()
        .filter_map(|(whose, life)| Some((whose, life?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use berth_daemon::metrics::{Page, tell_certificates};
    use berth_tls::JoinError;

    use super::super::Verdict;
    use super::*;

    const DAY: i64 = 24 * 60 * 60;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis((1_800_000_000 + seconds) * 1000)
    }

    fn check(whose: Whose, from: i64, to: i64) -> (Verdict, String) {
        let life = Life {
            begin: at(from),
            end: at(to),
        };
        let finding = judge_life(whose, life, at(0));
        assert_eq!(finding.advice.is_empty(), finding.verdict == Verdict::Ok, "{finding:?}");
        (finding.verdict, finding.finding)
    }

    #[test]
    fn a_certificate_is_good_ends_soon_has_ended_or_is_not_good_yet() {
        let says = |text: &str| text.to_owned();
        assert_eq!(
            check(Whose::Agents, 0, DAY),
            (
                Verdict::Ok,
                says("The agent's certificate is good until 2027-01-16T08:00:00.000Z.")
            )
        );
        assert_eq!(check(Whose::Agents, -DAY, DAY / 4).0, Verdict::Warning);
        assert_eq!(
            check(Whose::Agents, -DAY, 0),
            (
                Verdict::Problem,
                says("The agent's certificate ended at 2027-01-15T08:00:00.000Z.")
            )
        );
        assert_eq!(
            check(Whose::Schedulers, 60, DAY),
            (
                Verdict::Problem,
                says("The scheduler's certificate is not good before 2027-01-15T08:01:00.000Z.")
            )
        );
        // An authority is good for years: of those a quarter is no news.
        assert_eq!(check(Whose::Authoritys, -3000 * DAY, 600 * DAY).0, Verdict::Ok);
        assert_eq!(check(Whose::Authoritys, -3000 * DAY, 29 * DAY).0, Verdict::Warning);
        assert_eq!(check(Whose::Operators, -30 * DAY, 9 * DAY).0, Verdict::Warning);
    }

    #[test]
    fn members_that_cannot_come_back_are_named() {
        let member = |id: &str, end: i64| Member {
            role: "instance".to_owned(),
            id: id.to_owned(),
            expires_at: at(end).as_epoch_seconds(),
            ..Member::default()
        };
        let authority = |signs, members| Authority {
            signs,
            members,
            expires_at: at(400 * DAY).as_epoch_seconds(),
            ..Authority::default()
        };
        let found = |authorities: &[Authority], members: &[Member]| -> Vec<(Verdict, String)> {
            let findings = judge_members("prod", authorities, members, at(0)).into_iter();
            findings.map(|finding| (finding.verdict, finding.finding)).collect()
        };
        assert_eq!(found(&[], &[]), []);
        let well = found(&[authority(true, 2)], &[member("a", DAY), member("b", 1)]);
        assert!(
            well.len() == 2 && well.iter().all(|(verdict, _)| *verdict == Verdict::Ok),
            "{well:?}"
        );
        let ended = found(&[], &[member("a", DAY), member("b", 0)]);
        assert_eq!(
            ended,
            [(
                Verdict::Warning,
                "Certificates of members of cluster prod have ended: instance/b.".to_owned()
            )]
        );
        let two = found(&[authority(true, 1), authority(false, 3)], &[]);
        assert_eq!(two[1].0, Verdict::Warning);
        assert!(
            two[1]
                .1
                .ends_with("besides the one that signs: 1; members with a certificate of theirs: 3."),
            "{two:?}"
        );
    }

    #[test]
    fn a_host_that_cannot_join_is_told_what_helps() {
        let ended = JoinError::Ended(at(0)).to_string();
        let refused = |text: &str| format!("the scheduler gives no certificate: {text}");
        for (reason, helps) in [
            (JoinError::NoToken.to_string(), "berth tokens create"),
            (ended, "berth tokens create"),
            (
                refused("Join token 0123456789abcdef was revoked."),
                "berth tokens create",
            ),
            (
                refused("Join token 0123456789abcdef ended at 2027-01-15T08:00:00.000Z."),
                "berth tokens create",
            ),
            (
                refused("instance/prod/7 is a member with another key: remove it first."),
                "deregister",
            ),
            (
                "the scheduler is not vouched for by the authority c1f0".to_owned(),
                "berth ca",
            ),
            ("tcp connect error: Connection refused".to_owned(), "journalctl"),
        ] {
            assert!(advice_on_refusal(&reason).contains(helps), "{reason}");
        }
    }

    #[test]
    fn what_a_daemon_tells_of_its_certificates_is_read_as_it_is_told() {
        let (own, authority) = (
            Life {
                begin: at(0),
                end: at(DAY),
            },
            Life {
                begin: at(-DAY),
                end: at(4000 * DAY),
            },
        );
        let mut page = Page::default();
        page.gauge("berth_else", "Something else.").only(1.0);
        assert_eq!(lives(&page.into_text()), []);
        let mut page = Page::default();
        tell_certificates(&mut page, own.as_epoch_seconds(), authority.as_epoch_seconds());
        assert_eq!(
            lives(&page.into_text()),
            [(Whose::Agents, own), (Whose::Authoritys, authority)]
        );
    }
}
