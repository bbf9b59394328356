//! A sound history: a few accounts, and all that befalls them.

use serde_json::json;
use uuid::Uuid;

use super::{
    super::Evidence,
    scene::{End, Scene},
};
use crate::ledger::Call;

/// The operations of the sound history.
pub(super) struct Cast {
    /// Created, then changed after a retry, then changed again. By tags.
    pub ann: [Uuid; 3],
    /// Created; an update cancelled; deleted.
    pub bob: [Uuid; 3],
    /// A dead letter, and what waits behind it.
    pub cid: [Uuid; 2],
    /// Created; changed by a worker that then died. Without tags.
    pub dan: [Uuid; 2],
    /// Two made by one call.
    pub eve: [Uuid; 2],
}

pub(super) const TAGGED: Uuid = Uuid::from_u128(0xa1);
pub(super) const UNTAGGED: Uuid = Uuid::from_u128(0xb1);

pub(super) fn sound() -> (Evidence, Cast) {
    let mut scene =
        Scene::of([(TAGGED, Uuid::from_u128(0xa), true), (UNTAGGED, Uuid::from_u128(0xb), false)]);
    let ann = [
        scene.accept(TAGGED, "ann", "create", &json!({"mail": "a@x"})),
        scene.accept(TAGGED, "ann", "update", &json!({"mail": "b@x"})),
        scene.accept(TAGGED, "ann", "update", &json!({"groups": {"add": ["g1"]}, "title": null})),
    ];
    scene.attempt(ann[0], 1, Some(Call::Create), End::Success);
    scene.attempt(ann[1], 2, None, End::Busy);
    scene.attempt(ann[1], 3, Some(Call::Update), End::Success);
    scene.attempt(ann[2], 4, None, End::Down);
    scene.attempt(ann[2], 5, Some(Call::Update), End::Success);
    let bob = [
        scene.accept(TAGGED, "bob", "create", &json!({"mail": "bob@x"})),
        scene.accept(TAGGED, "bob", "update", &json!({"mail": "never@x"})),
        scene.accept(TAGGED, "bob", "delete", &json!({})),
    ];
    scene.attempt(bob[0], 1, Some(Call::Create), End::Success);
    scene.cancel(bob[1]);
    scene.attempt(bob[2], 2, Some(Call::Delete), End::Success);
    let cid = [
        scene.accept(TAGGED, "cid", "create", &json!({"mail": "c@x"})),
        scene.accept(TAGGED, "cid", "update", &json!({"mail": "d@x"})),
    ];
    scene.attempt(cid[0], 1, None, End::Refused);
    let dan = [
        scene.accept(UNTAGGED, "uid=Dan", "create", &json!({"mail": "d@x"})),
        scene.accept(UNTAGGED, "uid=dan", "update", &json!({"mail": "e@x"})),
    ];
    scene.attempt(dan[0], 1, Some(Call::Create), End::Success);
    scene.attempt(dan[1], 2, Some(Call::Update), End::Lost);
    scene.attempt(dan[1], 3, None, End::Success);
    let eve = scene.accept_two(TAGGED, "eve", [&json!({"mail": "1@x"}), &json!({"mail": "2@x"})]);
    scene.attempt(eve[0], 1, Some(Call::Create), End::Success);
    scene.attempt(eve[1], 2, Some(Call::Update), End::Success);
    scene.refuse();
    scene.leave_unknown();
    (scene.finish(), Cast { ann, bob, cid, dan, eve })
}
