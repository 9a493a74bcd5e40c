//! Which image a container is made of, and ended containers for which there is no room.

use berth_model::status::TaskStatus;
use serde_json::json;

use super::running;
use crate::failure::FailureKind;
use crate::image::{Pin, PulledImage};
use crate::machine::testing::*;
use crate::machine::{Action, Input, Machine, Outcome};
use crate::name;

#[test]
fn containers_of_one_image_name_get_one_image() {
    let other = json!({
        "name": "c", "image": "other", "memory": 8,
        "repositoryCredentials": {"credentialsParameter": "registry"},
    });
    let mut machine = Machine::new(spec(&json!([container("a"), container("b"), other])), POLICY);
    machine.handle(Input::Begin, at(0));
    let step = done(&mut machine, 0, Outcome::Pulled(Ok(image())), 1);
    let [Action::Create { request, .. }] = step.actions.as_slice() else {
        panic!("{step:?}")
    };
    assert_eq!(request.image, "busybox:latest@sha256:1");
    // The same name fails for the second container; the retry is for the image that the first one got.
    let faltered = failure(FailureKind::Faltered, "no answer");
    done(&mut machine, 1, Outcome::Pulled(Err(faltered)), 1);
    let step = machine.handle(Input::Tick, at(3));
    let [Action::Pull { container: 1, image }] = step.actions.as_slice() else {
        panic!("{step:?}")
    };
    assert_eq!(image.pin, Some(Pin::Digest("sha256:1".to_owned())));
    let other = machine.record().image_request(2);
    assert_eq!((other.pin, other.credentials.as_deref()), (None, Some("registry")));
}

#[test]
fn an_image_without_digest_keeps_its_name_and_is_told_by_its_id() {
    let mut machine = Machine::new(spec(&json!([container("a")])), POLICY);
    machine.handle(Input::Begin, at(0));
    let made_of = |machine: &mut Machine, id: &str| {
        let local = PulledImage {
            id: id.to_owned(),
            digest: None,
            stop_signal: None,
        };
        let step = done(machine, 0, Outcome::Pulled(Ok(local)), 1);
        let Some(Action::Create { request, .. }) = step.actions.first() else {
            panic!("{step:?}")
        };
        (
            request.as_ref().clone(),
            machine.report().containers[0].image_digest.clone(),
        )
    };
    let (request, reported) = made_of(&mut machine.clone(), "sha256:2");
    assert_eq!(
        (request.image.as_str(), request.image_id.as_deref()),
        ("busybox", Some("sha256:2"))
    );
    assert_eq!(reported.as_deref(), Some("sha256:2"));
    // A container that was created of another image is another container.
    let (other, _) = made_of(&mut machine, "sha256:3");
    assert_ne!(other.labels[name::SPEC_HASH], request.labels[name::SPEC_HASH]);
}

#[test]
fn an_acknowledged_end_is_removed_at_once_when_there_is_no_room() {
    let mut machine = running(&["app"]);
    machine.handle(Input::Hint(0), at(5));
    done(&mut machine, 0, Outcome::Looked(Ok(Some(snapshot(exited(0))))), 6);
    assert_eq!(machine.status(), TaskStatus::Stopped);
    let step = machine.handle(Input::LiftRetention, at(7));
    assert_eq!(step.actions, [], "nothing goes before its end is recorded");
    let step = machine.handle(Input::Acknowledged, at(8));
    assert!(
        matches!(step.actions.as_slice(), [Action::Remove { container: 0, .. }]),
        "{step:?}"
    );
}
