//! Event files, read back by the formats' own definitions.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::common::program::{bptt, command, entries, train};
use bptt::train::Metrics;

/// The remainder of a message by Castagnoli's polynomial, bit by bit: each byte's lowest bit first, the first 32 bits
/// and the remainder inverted, the remainder's bits in reverse.
fn crc32c(bytes: &[u8]) -> u32 {
    let bits = bytes.iter().flat_map(|byte| (0..8).map(move |bit| u64::from(byte >> bit & 1)));
    let mut message: Vec<u64> = bits.chain([0; 32]).collect();
    message[..32].iter_mut().for_each(|bit| *bit ^= 1);
    let remainder = message.into_iter().fold(0u64, |remainder, bit| {
        let shifted = remainder << 1 | bit;
        if shifted >> 32 == 1 { shifted ^ 0x1_1edc_6f41 } else { shifted }
    });
    !(remainder as u32).reverse_bits()
}

/// Cuts `count` bytes off.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    bytes.split_off(..count).unwrap()
}

fn checked(bytes: &[u8], checksum: &[u8]) {
    let crc = crc32c(bytes);
    let masked = crc.rotate_right(15).wrapping_add(0xa282_ead8);
    assert_eq!(masked.to_le_bytes(), checksum);
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for index in 0.. {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// A message's fields: number and value, a number's as its bits.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => varint(&mut bytes).to_le_bytes().to_vec(),
            1 => take(&mut bytes, 8).to_vec(),
            2 => {
                let length = varint(&mut bytes) as usize;
                take(&mut bytes, length).to_vec()
            }
            5 => take(&mut bytes, 4).to_vec(),
            wire => panic!("wire type {wire}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

/// An event of a file.
#[derive(Debug, PartialEq)]
enum Event {
    Version(String),
    /// With the status of the session, of which 1 is a start.
    Session(u64, u8),
    Scalars(u64, Vec<(String, f32)>),
}

fn event(message: &[u8]) -> Event {
    let fields_of = fields(message);
    let of = |number: u64| fields_of.iter().find(|(field, _)| *field == number).map(|(_, value)| value.as_slice());
    // 2001 to 2096.
    assert!((1e9..4e9).contains(&f64::from_le_bytes(of(1).unwrap().try_into().unwrap())));
    let step = u64::from_le_bytes(of(2).unwrap().try_into().unwrap());
    if let Some(version) = of(3) {
        return Event::Version(String::from_utf8(version.to_vec()).unwrap());
    }
    if let Some(session) = of(7) {
        return Event::Session(step, fields(session)[0].1[0]);
    }
    let values = fields(of(5).unwrap()).into_iter().map(|(field, value)| {
        assert_eq!(field, 1);
        let [(1, name), (2, number)] = &fields(&value)[..] else { panic!("no scalar") };
        (String::from_utf8(name.clone()).unwrap(), f32::from_le_bytes(number[..].try_into().unwrap()))
    });
    Event::Scalars(step, values.collect())
}

/// The events of a file, up to one of which a part is missing.
fn events(path: &Path) -> Vec<Event> {
    let bytes = fs::read(path).unwrap();
    let mut bytes = bytes.as_slice();
    let mut events = Vec::new();
    while let Some(length) = bytes.first_chunk().map(|length| u64::from_le_bytes(*length) as usize) {
        if bytes.len() < length + 16 {
            break;
        }
        let length_bytes = take(&mut bytes, 8);
        checked(length_bytes, take(&mut bytes, 4));
        let message = take(&mut bytes, length);
        checked(message, take(&mut bytes, 4));
        events.push(event(message));
    }
    events
}

/// What a run's metrics are as events.
fn expected(run: &Path) -> Vec<Event> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Metrics>(line).unwrap());
    let events = lines.map(|line| {
        let mut values = vec![("loss", line.loss), ("grad_norm", line.grad_norm), ("lr", line.lr)];
        values.extend(line.val_loss.map(|loss| ("val_loss", loss)));
        Event::Scalars(line.step, values.into_iter().map(|(name, value)| (name.to_owned(), value as f32)).collect())
    });
    events.collect()
}

fn version() -> Event {
    Event::Version("brain.Event:2".into())
}

#[test]
fn an_event_file_holds_the_numbers_of_every_step() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "a", "--steps 6 --set training.val-every=3 --set training.tensorboard=true");
    let logs = folder.path().join("a/tensorboard");
    let [name] = &entries(&logs)[..] else { panic!("expected one file") };
    let (events, expected) = (events(&logs.join(name)), expected(&folder.path().join("a")));
    assert_eq!(events[0], version());
    assert_eq!(events[1..], expected);
    assert_eq!(expected.iter().filter(|event| format!("{event:?}").contains("val_loss")).count(), 2);
}

#[test]
fn the_event_file_of_a_resumed_run_voids_the_steps_cut_off_even_if_the_clock_went_back() {
    let folder = tempfile::tempdir().unwrap();
    let (run, logs) = (folder.path().join("a"), folder.path().join("a/tensorboard"));
    let settings = "train --device cpu --steps 3000 --set training.val-every=500 --set training.checkpoint-every=100 --set training.tensorboard=true --out a";
    let mut child = command(folder.path(), settings).stdout(Stdio::null()).spawn().unwrap();
    while !run.join("checkpoints/step-000000000100.ckpt").is_file() {
        assert!(child.try_wait().unwrap().is_none());
        sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let [name] = &entries(&logs)[..] else { panic!("expected one file") };
    fs::rename(logs.join(name), logs.join("events.out.tfevents.5000000000.bptt")).unwrap();
    let output = bptt(folder.path(), "train --resume a");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let [first, second] = &entries(&logs)[..] else { panic!("expected two files") };
    assert_eq!(second, "events.out.tfevents.5000000001.bptt");
    let (first, second) = (events(&logs.join(first)), events(&logs.join(second)));
    let [Event::Version(_), Event::Session(step, 1)] = second[..2] else { panic!("{:?}", &second[..2]) };
    let (expected, before) = (expected(&run), step as usize - 1);
    assert!(before >= 100 && before.is_multiple_of(100), "{before}");
    assert_eq!(first[0], version());
    assert_eq!(first[1..=before], expected[..before]);
    assert_eq!(second[2..], expected[before..]);
}
