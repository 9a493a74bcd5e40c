//! The parts of a transaction in short.

use bytes::Bytes;

use crate::wire::compare::{Operand, Result as Relation, Target};
use crate::wire::request_op::Request;
use crate::wire::{Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp};

/// The first key behind all those that begin so: the end of their range.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end.into();
        }
    }
    // Nothing is behind: the range of everything, as etcd writes it.
    Bytes::from_static(&[0])
}

/// The key has this value.
#[must_use]
pub fn compare_value(key: Bytes, value: Bytes) -> Compare {
    equal(key, Target::Value, Operand::Value(value))
}

/// The key is not there.
#[must_use]
pub fn compare_absent(key: Bytes) -> Compare {
    equal(key, Target::Create, Operand::CreateRevision(0))
}

/// The key was last written at this revision of the store; 0: it is not there.
#[must_use]
pub fn compare_mod_revision(key: Bytes, revision: i64) -> Compare {
    equal(key, Target::Mod, Operand::ModRevision(revision))
}

fn equal(key: Bytes, target: Target, operand: Operand) -> Compare {
    Compare {
        result: Relation::Equal.into(),
        target: target.into(),
        key,
        operand: Some(operand),
    }
}

/// Writes the key.
#[must_use]
pub fn put(key: Bytes, value: Bytes) -> RequestOp {
    op(Request::Put(PutRequest { key, value }))
}

/// Reads the key.
#[must_use]
pub fn get(key: Bytes) -> RequestOp {
    op(Request::Range(RangeRequest {
        key,
        ..RangeRequest::default()
    }))
}

/// Reads as asked.
#[must_use]
pub fn range(range: RangeRequest) -> RequestOp {
    op(Request::Range(range))
}

/// Deletes the key.
#[must_use]
pub fn delete_one(key: Bytes) -> RequestOp {
    delete(key, Bytes::new())
}

/// Deletes the keys from `key` on and before `end`.
#[must_use]
pub fn delete(key: Bytes, end: Bytes) -> RequestOp {
    op(Request::DeleteRange(DeleteRangeRequest { key, range_end: end }))
}

fn op(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_behind_all_keys_that_begin_so() {
        for (prefix, end) in [
            (&b"a/"[..], &b"a0"[..]),
            (b"a\xff", b"b"),
            (b"\xff\xff", b"\0"),
            (b"", b"\0"),
        ] {
            assert_eq!(prefix_end(prefix), end, "{prefix:?}");
        }
    }
}
