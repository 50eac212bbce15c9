use std::io::Cursor;
use std::path::Path;

use ndarray::{Array2, array, s};

use super::*;
use crate::data::InputLimit;
use crate::error::Result;

const FORMATS: [WavFormat; 5] =
    [WavFormat::Pcm16, WavFormat::Pcm24, WavFormat::Pcm32, WavFormat::Float32, WavFormat::Float64];

fn spec(format: WavFormat, channels: u16) -> WavSpec {
    WavSpec { rate: 44_100, channels, format }
}

/// Samples in all of full scale.
fn samples(frames: usize, channels: u16) -> Array2<f32> {
    Array2::from_shape_fn((frames, channels.into()), |(frame, channel)| {
        ((frame * 37 + channel * 11) as f32 * 0.618).fract() * 2.0 - 1.0
    })
}

fn written(spec: WavSpec, samples: &Array2<f32>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = WavWriter::new(&mut bytes, spec, samples.nrows() as u64).unwrap();
    // In blocks, the last of which is shorter.
    for from in (0..samples.nrows()).step_by(5) {
        writer.write(samples.slice(s![from..samples.nrows().min(from + 5), ..])).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<Audio> {
    Audio::from_wav(bytes, Path::new("a.wav"), InputLimit::default())
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn what_is_written_is_read_again_to_half_a_step_and_in_blocks_as_in_one() {
    for format in FORMATS {
        for (frames, channels) in [(1, 1), (13, 1), (12, 2), (7, 3)] {
            let (spec, samples) = (spec(format, channels), samples(frames, channels));
            let bytes = written(spec, &samples);
            assert_eq!(bytes.len() % 2, 0, "a chunk of odd length is padded");
            assert_eq!(u64::from(u32::from_le_bytes(bytes[4..8].try_into().unwrap())) + 8, bytes.len() as u64);
            let whole = read(&bytes).unwrap();
            assert_eq!(whole.spec, spec);
            let step = if format.is_pcm() { 0.5 / 2f32.powi(i32::from(format.bits()) - 1) } else { 0.0 };
            let apart = |(a, b): (&f32, &f32)| (a - b).abs() <= step + f32::EPSILON / 4.0;
            assert!(whole.samples.iter().zip(&samples).all(apart), "{format:?} {frames} {channels}");
            let mut reader = WavReader::new(Cursor::new(&bytes), bytes.len() as u64, Path::new("a.wav")).unwrap();
            let mut at = 0;
            while let Some(block) = reader.read(4).unwrap() {
                assert_eq!(block, whole.samples.slice(s![at..at + block.nrows(), ..]));
                at += block.nrows();
            }
            assert_eq!((at, reader.frames()), (frames, frames as u64));
        }
    }
}

#[test]
fn another_library_reads_what_is_written_and_writes_what_is_read() {
    for format in &FORMATS[..4] {
        let (spec, samples) = (spec(*format, 2), samples(9, 2));
        let bytes = written(spec, &samples);
        let mut reader = hound::WavReader::new(Cursor::new(&bytes)).unwrap();
        let theirs = reader.spec();
        let float = !format.is_pcm();
        assert_eq!((theirs.channels, theirs.sample_rate, theirs.bits_per_sample), (2, 44_100, format.bits()));
        assert_eq!(theirs.sample_format == hound::SampleFormat::Float, float);
        let scale = f64::from(1u32 << (format.bits() - 1));
        let values: Vec<f32> = if float {
            reader.samples::<f32>().map(Result::unwrap_or_default).collect()
        } else {
            reader.samples::<i32>().map(|sample| (f64::from(sample.unwrap()) / scale) as f32).collect()
        };
        assert_eq!(values, read(&bytes).unwrap().samples.into_raw_vec_and_offset().0, "{format:?}");
        let mut again = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut again, theirs).unwrap();
        for value in &values {
            if float {
                writer.write_sample(*value).unwrap();
            } else {
                writer.write_sample((f64::from(*value) * scale) as i32).unwrap();
            }
        }
        writer.finalize().unwrap();
        let again = read(&again.into_inner()).unwrap();
        assert_eq!((again.spec, again.samples.into_raw_vec_and_offset().0), (spec, values), "{format:?}");
    }
}

/// The bytes of a chunk, padded to an even number.
fn chunk(name: &str, contents: &[u8]) -> Vec<u8> {
    let padding = vec![0; contents.len() % 2];
    [name.as_bytes(), &(contents.len() as u32).to_le_bytes(), contents, &padding].concat()
}

/// A file of these chunks.
fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let chunks = chunks.concat();
    [b"RIFF", &(chunks.len() as u32 + 4).to_le_bytes()[..], b"WAVE", &chunks].concat()
}

/// A fmt chunk of 16 bytes.
fn fmt(tag: u16, channels: u16, rate: u32, frame: u16, bits: u16) -> Vec<u8> {
    let (rate, per_second) = (rate.to_le_bytes(), (rate * u32::from(frame)).to_le_bytes());
    let [tag, channels, frame, bits] = [tag, channels, frame, bits].map(u16::to_le_bytes);
    chunk("fmt ", &[&tag[..], &channels, &rate, &per_second, &frame, &bits].concat())
}

#[test]
fn a_file_written_by_hand_is_read_with_chunks_of_others_and_an_open_end() {
    let stereo = fmt(1, 2, 8000, 4, 16);
    let data = [0, 0x80, 0xFF, 0x7F, 0, 0, 0, 0x40];
    let expected = array![[-1.0, 32767.0 / 32768.0], [0.0, 0.5]];
    // Three bytes and one of padding before the format, and more behind the samples.
    let whole = riff(&[chunk("LIST", b"abc"), stereo.clone(), chunk("data", &data), chunk("id3 ", &[1; 9])]);
    let audio = read(&whole).unwrap();
    assert_eq!((audio.samples, audio.spec.rate), (expected.clone(), 8000));
    assert_eq!(read(&whole).unwrap().seconds(), 2.0 / 8000.0);
    // Written to a pipe, whose end was not known beforehand.
    let open = [&riff(&[stereo])[..], b"data\xFF\xFF\xFF\xFF", &data, &[9; 3]].concat();
    assert_eq!(read(&open).unwrap().samples, expected);
}

#[test]
fn a_file_beyond_4_gib_has_its_lengths_in_64_bits() {
    let (spec, frames) = (spec(WavFormat::Pcm24, 2), 3u64 << 30);
    let mut header = Vec::new();
    let _ = WavWriter::new(&mut header, spec, frames).unwrap();
    assert_eq!(&header[..4], b"RF64");
    let length = header.len() as u64 + 6 * frames;
    let reader = WavReader::new(Cursor::new(&header), length, Path::new("a.wav")).unwrap();
    assert_eq!((reader.frames(), reader.spec()), (frames, spec));
    assert_eq!(u64::from_le_bytes(header[20..28].try_into().unwrap()), length - 8);
    assert_eq!(u64::from_le_bytes(header[36..44].try_into().unwrap()), frames);
    let cut = WavReader::new(Cursor::new(&header), length - 1, Path::new("a.wav")).unwrap_err().to_string();
    assert!(cut.contains("expected 19327352832 bytes of samples, got 19327352831: the file was truncated"), "{cut}");
    assert!(WavWriter::new(Vec::new(), spec, u64::MAX).is_err());
    assert!(WavWriter::new(Vec::new(), WavSpec { channels: 30_000, ..spec }, 1).is_err());
}

#[test]
fn what_is_no_wav_file_or_ends_early_is_refused_with_the_byte_and_takes_no_memory() {
    let good = riff(&[fmt(1, 1, 8000, 2, 16), chunk("data", &[1, 2, 3, 4])]);
    assert!(read(&good).is_ok());
    assert_eq!(
        refusal(b"OggS12345678"),
        "a.wav: expected a wav file, which begins with RIFF (or RF64), a length and WAVE"
    );
    assert!(
        refusal(b"RIFF")
            .starts_with("a.wav, byte 0: expected a RIFF header, 12 bytes, got the end of the file after 4")
    );
    for (end, part) in [(20, "byte 20: expected a fmt chunk"), (38, "byte 36: expected a data chunk, 8 bytes")] {
        assert!(refusal(&good[..end]).contains(part) || refusal(&good[..end]).contains("truncated"), "{end}");
    }
    assert!(
        refusal(&good[..47])
            .ends_with("chunk \"data\" at byte 36: expected 4 bytes of samples, got 3: the file was truncated")
    );
    let of = |format: Vec<u8>, data: &[u8]| refusal(&riff(&[format, chunk("data", data)]));
    assert!(of(fmt(1, 1, 8000, 2, 16), &[]).contains("whole frames of 2 bytes, got 0 bytes"));
    assert!(of(fmt(1, 2, 8000, 4, 16), &[1; 6]).contains("whole frames of 4 bytes, got 6 bytes"));
    assert!(of(fmt(1, 1, 8000, 1, 8), &[1; 4]).contains("got PCM of 8 bits: convert it"));
    assert!(of(fmt(3, 1, 8000, 2, 16), &[1; 4]).contains("got floats of 16 bits"));
    assert!(of(fmt(85, 1, 8000, 2, 16), &[1; 4]).contains("got format 85 of 16 bits"));
    assert!(of(fmt(0xFFFE, 1, 8000, 2, 16), &[1; 4]).contains("got format 0 of 16 bits"));
    assert!(of(fmt(1, 0, 8000, 0, 16), &[1; 4]).contains("at least one channel"));
    assert!(of(fmt(1, 1, 0, 2, 16), &[1; 4]).contains("a rate above 0"));
    assert!(of(fmt(1, 1, 8000, 4, 16), &[1; 4]).contains("expected frames of 2 bytes, got 4"));
    assert!(of(chunk("fmt ", &[1; 9]), &[1; 4]).contains("at least 16 bytes, got 9"));
    assert!(refusal(&riff(&[chunk("data", &[1; 4])])).contains("expected a fmt chunk before the data chunk"));
    let nan = [0.5f32, f32::NAN].map(f32::to_le_bytes).concat();
    assert_eq!(of(fmt(3, 1, 8000, 4, 32), &nan), "a.wav, frame 2, channel 1: expected a finite number, got NaN");
    let far = 1e300f64.to_le_bytes();
    assert!(of(fmt(3, 1, 8000, 8, 64), &far).contains("frame 1, channel 1: expected a finite number, got inf"));
    // Lengths that no file has.
    let huge = [&good[..40], &(u32::MAX - 1).to_le_bytes(), &good[44..]].concat();
    assert!(refusal(&huge).contains("expected 4294967294 bytes of samples, got 4"));
    let list = [&good[..12], b"LIST\xFE\xFF\xFF\xFF", &good[12..]].concat();
    assert!(refusal(&list).contains("chunk \"LIST\" at byte 12: expected 4294967294 bytes"), "{}", refusal(&list));
    let small = Audio::from_wav(&good, Path::new("a.wav"), InputLimit(7)).unwrap_err().to_string();
    assert!(small.contains("in memory"), "{small}");
}

#[test]
fn whole_numbers_are_clipped_at_full_scale_and_counted_and_floats_are_not() {
    let samples = array![[1.5f32], [-1.25], [1.0], [-1.0]];
    for (format, clipped, first) in [(WavFormat::Pcm16, 2, 32767.0 / 32768.0), (WavFormat::Float32, 0, 1.5)] {
        let mut bytes = Vec::new();
        let mut writer = WavWriter::new(&mut bytes, spec(format, 1), 4).unwrap();
        writer.write(samples.view()).unwrap();
        assert_eq!(writer.finish().unwrap(), Clipping { clipped, peak: 1.5 });
        let read = read(&bytes).unwrap().samples;
        assert_eq!((read[[0, 0]], read[[3, 0]]), (first, -1.0));
    }
    let mut writer = WavWriter::new(Vec::new(), spec(WavFormat::Pcm16, 1), 3).unwrap();
    assert!(writer.write(samples.view()).unwrap_err().to_string().contains("at most 3"));
    assert!(writer.write(array![[0.0, 0.0]].view()).is_err());
    assert!(writer.finish().unwrap_err().to_string().contains("3 fewer"));
}
