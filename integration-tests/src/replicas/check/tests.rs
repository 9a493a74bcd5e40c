//! Made-up histories, sound ones and bad ones.

use berth_model::status::TaskStatus;

use super::super::history::Look;
use super::*;

const A: TaskId = TaskId::from_bits(0xa);
const B: TaskId = TaskId::from_bits(0xb);

const fn look(last: TaskStatus, desired: DesiredStatus, version: u64) -> Shown {
    Some(Look { last, desired, version })
}

const PENDING: Shown = look(TaskStatus::Pending, DesiredStatus::Running, 1);
const RUNNING: Shown = look(TaskStatus::Running, DesiredStatus::Running, 2);
const STOPPING: Shown = look(TaskStatus::Running, DesiredStatus::Stopped, 3);
const STOPPED: Shown = look(TaskStatus::Stopped, DesiredStatus::Stopped, 4);

/// Request 1 placed A at 10, which ran at 12, was told to stop at 14 and had stopped at 16; request 2 placed B at 20.
fn witness() -> Witness {
    let mut witness = Witness::default();
    witness.ran(1, Revision(10), [A]).unwrap();
    for (revision, shown) in [(10, PENDING), (12, RUNNING), (14, STOPPING), (16, STOPPED)] {
        witness.looks(A, Revision(revision), shown);
    }
    witness.ran(2, Revision(20), [B]).unwrap();
    witness.looks(B, Revision(20), PENDING);
    witness
}

fn at(scheduler: usize, began: u64, ended: u64, call: Call) -> Operation {
    Operation {
        scheduler,
        began: Duration::from_millis(began),
        ended: Duration::from_millis(ended),
        revision: None,
        call,
    }
}

/// The same with a revision that the answer names.
fn named(revision: u64, operation: Operation) -> Operation {
    Operation {
        revision: Some(Revision(revision)),
        ..operation
    }
}

fn run(token: u64, answer: Answer<Vec<TaskId>>) -> Call {
    Call::Run { token, answer }
}

fn ran(token: u64, task: TaskId) -> Call {
    run(token, Answer::Acknowledged(vec![task]))
}

fn stop(task: TaskId, shown: Shown) -> Call {
    Call::Stop {
        task,
        answer: Answer::Acknowledged(shown),
    }
}

fn read(shown: &[(TaskId, Shown)]) -> Call {
    Call::Describe {
        at: None,
        answer: Answer::Acknowledged(shown.to_vec()),
    }
}

fn verdict(history: &[Operation]) -> Verdict {
    check(history, &witness())
}

fn violation(history: &[Operation]) -> String {
    let verdict = verdict(history);
    assert_eq!(verdict.violations.len(), 1, "{verdict:?}");
    verdict.violations[0].to_string()
}

#[test]
fn a_history_in_the_order_of_the_journal_is_sound() {
    let history = [
        at(0, 1, 5, ran(1, A)),
        at(0, 6, 7, read(&[(A, RUNNING), (B, None)])),
        at(1, 8, 9, stop(A, STOPPING)),
        at(1, 10, 11, read(&[(A, STOPPED)])),
        at(2, 12, 19, ran(2, B)),
        at(2, 20, 21, read(&[(A, STOPPED), (B, PENDING)])),
        at(0, 30, 31, stop(TaskId::from_bits(0xc), None)),
    ];
    assert_eq!(verdict(&history), Verdict::default());
}

#[test]
fn operations_that_overlap_may_be_in_either_order() {
    let history = [
        at(0, 1, 100, ran(2, B)),
        at(1, 50, 90, ran(1, A)),
        at(1, 60, 70, read(&[(A, PENDING)])),
        at(1, 60, 70, read(&[(A, None)])),
    ];
    assert_eq!(verdict(&history), Verdict::default());
}

#[test]
fn a_task_that_was_acknowledged_and_is_not_in_the_journal_is_found() {
    let told = violation(&[at(0, 1, 2, ran(3, A))]);
    assert_eq!(
        told,
        "operation 0: request 3 was acknowledged and is not in the journal"
    );
}

#[test]
fn a_client_that_was_told_of_another_task_than_its_own_is_found() {
    let told = violation(&[at(0, 1, 2, ran(1, B))]);
    assert!(told.contains("was told of the tasks"), "{told}");
}

#[test]
fn what_was_acknowledged_before_another_began_must_come_first() {
    let told = violation(&[at(0, 1, 2, ran(2, B)), at(1, 3, 4, ran(1, A))]);
    assert_eq!(
        told,
        "operation 1: request 1 is at revision 10, and 20 had been answered before it was made"
    );
}

#[test]
fn what_was_shown_before_a_request_was_made_must_come_first_too() {
    let told = violation(&[at(0, 1, 2, read(&[(A, STOPPED)])), at(1, 3, 4, ran(1, A))]);
    assert!(told.contains("and 16 had been answered"), "{told}");
}

#[test]
fn a_request_that_was_refused_must_not_be_in_the_journal() {
    let told = violation(&[at(0, 1, 2, run(1, Answer::Refused))]);
    assert_eq!(told, "operation 0: request 1 was refused and is at revision 10");
}

#[test]
fn a_request_without_an_answer_may_be_carried_out_later_or_never_but_not_before_it_was_made() {
    let unknown = |token| run(token, Answer::Unknown);
    let never = [at(0, 1, 2, unknown(9)), at(1, 3, 4, ran(2, B))];
    assert_eq!(verdict(&never), Verdict::default());
    let later = [at(0, 1, 2, unknown(2)), at(1, 3, 4, ran(1, A))];
    assert_eq!(verdict(&later), Verdict::default());
    let before = [at(0, 1, 2, ran(2, B)), at(1, 3, 4, unknown(1))];
    assert!(violation(&before).contains("had been answered before it was made"));
}

#[test]
fn a_retry_is_answered_of_what_the_first_attempt_did() {
    let history = [
        at(0, 1, 2, run(1, Answer::Unknown)),
        at(1, 3, 4, ran(2, B)),
        at(2, 5, 6, ran(1, A)),
        // The retry was answered of a state that had B.
        at(2, 7, 8, read(&[(B, PENDING)])),
    ];
    assert_eq!(verdict(&history), Verdict::default());
    let old = [&history[..3], &[at(2, 7, 8, read(&[(B, None)]))]].concat();
    assert!(violation(&old).contains("scheduler 2 showed revision 0 after it had answered of 20"));
}

#[test]
fn a_request_that_found_no_room_may_find_it_by_an_earlier_attempt_that_comes_late() {
    let history = [
        at(0, 1, 2, run(2, Answer::Unknown)),
        at(1, 3, 4, run(2, Answer::Acknowledged(Vec::new()))),
        at(1, 5, 6, ran(1, A)),
    ];
    assert_eq!(verdict(&history), Verdict::default());
    // It was in the journal already when the second attempt was told that there is no room.
    let told = violation(&[
        at(0, 0, 9, run(1, Answer::Unknown)),
        at(2, 1, 2, read(&[(A, RUNNING)])),
        at(1, 3, 4, run(1, Answer::Acknowledged(Vec::new()))),
    ]);
    assert!(
        told.starts_with("operation 2: request 1 is at revision 10, and 12"),
        "{told}"
    );
}

#[test]
fn a_read_shows_what_its_scheduler_has_answered_or_shown() {
    let own = [at(0, 1, 2, ran(1, A)), at(0, 3, 4, read(&[(A, None)]))];
    assert!(violation(&own).contains("scheduler 0 showed revision 0 after it had answered of 10"));
    let back = [at(0, 1, 2, read(&[(A, STOPPING)])), at(0, 3, 4, read(&[(A, RUNNING)]))];
    assert!(violation(&back).contains("scheduler 0 showed revision 12 after it had answered of 14"));
}

#[test]
fn a_read_may_lack_what_another_scheduler_has_answered_and_is_counted() {
    let history = [
        at(0, 10, 20, ran(1, A)),
        at(0, 30, 40, stop(A, STOPPING)),
        at(1, 50, 60, read(&[(A, None)])),
        at(2, 70, 80, read(&[(A, RUNNING)])),
        at(2, 90, 95, read(&[(A, STOPPING)])),
    ];
    let verdict = verdict(&history);
    assert_eq!(verdict.violations, []);
    assert_eq!(verdict.old_reads, 2);
    assert_eq!(verdict.oldest, Duration::from_millis(30));
}

#[test]
fn what_never_was_at_the_same_time_is_found() {
    let told = violation(&[at(0, 1, 2, read(&[(A, RUNNING), (B, PENDING)]))]);
    assert!(told.contains("never had all of"), "{told}");
    let told = violation(&[at(
        0,
        1,
        2,
        read(&[(A, look(TaskStatus::Running, DesiredStatus::Running, 9))]),
    )]);
    assert!(told.contains("never had all of"), "{told}");
}

#[test]
fn a_stop_that_was_acknowledged_and_is_not_in_the_journal_is_found() {
    let told = violation(&[at(0, 1, 2, stop(B, STOPPING))]);
    assert!(told.contains("was acknowledged and is not in the journal"), "{told}");
    let told = violation(&[at(0, 1, 2, stop(A, RUNNING))]);
    assert!(told.contains("which it was not from 14 on"), "{told}");
}

#[test]
fn a_task_that_any_scheduler_has_placed_must_be_found_by_a_stop_at_every_other() {
    let told = violation(&[at(0, 1, 2, ran(1, A)), at(1, 3, 4, stop(A, None))]);
    assert!(told.contains("was said not to exist"), "{told}");
    let together = [at(0, 1, 5, ran(1, A)), at(1, 3, 4, stop(A, None))];
    assert_eq!(verdict(&together), Verdict::default());
}

#[test]
fn a_stop_that_finds_it_done_has_seen_everything_that_was_answered() {
    // B had been answered when the stop of A was asked for, so its answer was of a state with B.
    let history = [
        at(0, 1, 2, ran(2, B)),
        at(1, 3, 4, stop(A, STOPPED)),
        at(1, 5, 6, read(&[(B, None)])),
    ];
    assert!(violation(&history).contains("scheduler 1 showed revision 0 after it had answered of 20"));
}

#[test]
fn the_revision_that_an_answer_names_is_held_to() {
    let sound = [
        named(11, at(0, 1, 2, ran(1, A))),
        named(13, at(0, 3, 4, read(&[(A, RUNNING)]))),
        named(14, at(1, 5, 6, stop(A, STOPPING))),
    ];
    assert_eq!(verdict(&sound), Verdict::default());
    let told = violation(&[named(9, at(0, 1, 2, ran(1, A)))]);
    assert!(
        told.contains("said to be of revision 9, and is of 10 or later"),
        "{told}"
    );
    let told = violation(&[named(15, at(0, 1, 2, read(&[(A, RUNNING)])))]);
    assert!(told.contains("which it was not at revision 15"), "{told}");
    // What one answer named its scheduler has, whatever was shown.
    let back = [
        named(17, at(0, 1, 2, read(&[(B, None)]))),
        named(15, at(0, 3, 4, read(&[(A, STOPPING)]))),
    ];
    assert!(violation(&back).contains("scheduler 0 showed revision 14 after it had answered of 17"));
}

#[test]
fn a_read_of_the_past_is_of_the_revision_that_was_asked_for() {
    let past = |revision: u64, shown| Call::Describe {
        at: Some(Revision(revision)),
        answer: Answer::Acknowledged(vec![(A, shown)]),
    };
    let sound = [
        named(17, at(0, 1, 2, read(&[(A, STOPPED)]))),
        named(13, at(0, 3, 4, past(13, RUNNING))),
    ];
    assert_eq!(verdict(&sound), Verdict::default());
    let told = violation(&[named(13, at(0, 1, 2, past(12, RUNNING)))]);
    assert!(told.contains("revision 12 was asked for, 13 was answered"), "{told}");
    let told = violation(&[named(13, at(0, 1, 2, past(13, STOPPED)))]);
    assert!(told.contains("which it was not at revision 13"), "{told}");
}
