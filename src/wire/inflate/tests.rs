//! Inflating: the RFC's examples, every cut, bombs, corruption, and what a thread keeps.

use super::*;
use crate::wire::deflate;
use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
/// "Hello" again, as a reference to the message before.
const SAME: &[u8] = b"\xf2\x00\x11\x00\x00";

fn drain(inflater: &mut Inflater, all: &mut Vec<u8>) -> Result<(), Corrupt> {
    while !inflater.is_exhausted() {
        let step = inflater.step()?;
        assert!(step.len() <= STEP_BYTES);
        all.extend_from_slice(&step);
    }
    Ok(())
}

fn read(inflater: &mut Inflater, parts: &[&[u8]]) -> Result<Vec<u8>, Corrupt> {
    let mut all = Vec::new();
    for part in parts {
        inflater.put(Bytes::copy_from_slice(part));
        drain(inflater, &mut all)?;
    }
    inflater.close();
    drain(inflater, &mut all)?;
    Ok(all)
}

fn message(parts: &[&[u8]]) -> Result<Vec<u8>, Corrupt> {
    let mut inflater = Inflater::default();
    let all = read(&mut inflater, parts)?;
    inflater.finish()?;
    Ok(all)
}

#[test]
fn the_examples_of_the_rfc() {
    // RFC 7692, 7.2.3: one block, two fragments, no compression, a last block, two blocks.
    let hello = Ok(b"Hello".to_vec());
    assert_eq!(message(&[HELLO]), hello);
    assert_eq!(message(&[b"\xf2\x48\xcd", b"\xc9\xc9\x07\x00"]), hello);
    assert_eq!(message(&[b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"]), hello);
    assert_eq!(message(&[b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"]), hello);
    assert_eq!(message(&[b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"]), hello);
    // With context takeover, 7.2.3.2.
    let mut inflater = Inflater::default();
    assert_eq!(read(&mut inflater, &[HELLO]), hello);
    inflater.go_on();
    assert_eq!(read(&mut inflater, &[SAME]), hello);
}

#[test]
fn empty_messages() {
    assert_eq!(message(&[]), Ok(vec![]));
    assert_eq!(message(&[b"\x00"]), Ok(vec![]));
    assert_eq!(message(&[b"\x02\x00"]), Ok(vec![]));
    // A last block, and nothing after it.
    assert_eq!(message(&[b"\x03\x00"]), Ok(vec![]));
    assert_eq!(message(&[b"\x03", b"\x00", b"\x03\x00"]), Ok(vec![]));
}

#[test]
fn a_message_without_its_end_is_not_whole() {
    let deflated = deflate::message(15, b"a message of some length, some length");
    for cut in 1..deflated.len() {
        assert_eq!(message(&[&deflated[..cut]]), Err(Corrupt), "{cut}");
    }
}

#[test]
fn a_bomb_comes_in_steps() {
    let bomb = deflate::message(15, &vec![0; 10_000_000]);
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    let mut inflater = Inflater::default();
    inflater.put(bomb);
    for _ in 0..3 {
        assert_eq!(inflater.step().unwrap().len(), STEP_BYTES);
    }
}

#[test]
fn what_was_given_back_remembers_nothing() {
    drop(message(&[&deflate::message(15, b"secret secret")]).unwrap());
    assert_eq!(SPARE.with_borrow(Vec::len), 1);
    let mut inflater = Inflater::default();
    assert_eq!(SPARE.with_borrow(Vec::len), 0);
    assert_eq!(read(&mut inflater, &[SAME]), Err(Corrupt));
    drop(inflater);
    // Nor that it failed.
    assert_eq!(SPARE.with_borrow(Vec::len), 1);
    assert_eq!(message(&[HELLO]), Ok(b"Hello".to_vec()));
}

#[test]
fn few_are_kept() {
    let many: Vec<Inflater> = std::iter::repeat_with(Inflater::default).take(50).collect();
    drop(many);
    assert_eq!(SPARE.with_borrow(Vec::len), SPARE_MAX);
}

proptest! {
    #[test]
    fn messages_come_back_however_they_are_cut(
        bits in 9..=15_u8,
        texts in prop::collection::vec("[ab]{0,40}|[a-z]{0,3000}|a{20000}", 1..5),
        cut in 1..200_usize,
        takeover: bool,
    ) {
        let mut compress = Compress::new_with_window_bits(Compression::fast(), false, bits);
        let mut inflater = Inflater::default();
        for text in &texts {
            let mut deflated = Vec::with_capacity(text.len() + 1000);
            if takeover {
                let flush = FlushCompress::Sync;
                compress.compress_vec(text.as_bytes(), &mut deflated, flush).unwrap();
                if text.is_empty() {
                    // zlib has nothing to flush.
                    deflated.extend_from_slice(b"\x00\x00\x00\xff\xff");
                }
                prop_assert!(deflated.ends_with(&TAIL));
                deflated.truncate(deflated.len() - TAIL.len());
            } else {
                deflated.extend_from_slice(&deflate::message(bits, text.as_bytes()));
            }
            let parts: Vec<&[u8]> = deflated.chunks(cut).collect();
            let read = match takeover {
                true => read(&mut inflater, &parts),
                false => message(&parts),
            };
            prop_assert_eq!(read.as_deref(), Ok(text.as_bytes()));
            inflater.go_on();
        }
    }

    #[test]
    fn no_bytes_panic(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6),
    ) {
        let parts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
        let _ = message(&parts);
    }
}
