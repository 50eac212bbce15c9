//! Sound as wav files have it: PCM of 16, 24 and 32 bits and floats of 32 and 64, in any number of channels, also beyond
//! 4 GiB (RF64).

mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{Audio, WavReader};
pub use writer::{Clipping, WavWriter};

/// How a sample is stored. A number from −1 to 1 is full scale in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WavFormat {
    /// Whole numbers of 16 bits.
    Pcm16,
    /// Whole numbers of 24 bits.
    Pcm24,
    /// Whole numbers of 32 bits.
    Pcm32,
    /// Floating-point numbers of 32 bits.
    Float32,
    /// Floating-point numbers of 64 bits.
    Float64,
}

/// What a wav file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WavSpec {
    /// Frames per second.
    pub rate: u32,
    /// Samples per frame.
    pub channels: u16,
    /// How a sample is stored.
    pub format: WavFormat,
}

/// The tags of the formats in a fmt chunk.
const PCM: u16 = 1;
const FLOAT: u16 = 3;
/// The tag for one that is in the first two bytes of a GUID, whose others are these.
const EXTENSIBLE: u16 = 0xFFFE;
const GUID: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];

impl WavFormat {
    /// Bits per sample.
    pub fn bits(self) -> u16 {
        match self {
            Self::Pcm16 => 16,
            Self::Pcm24 => 24,
            Self::Pcm32 | Self::Float32 => 32,
            Self::Float64 => 64,
        }
    }

    /// Whether samples are whole numbers, which cannot hold more than full scale.
    pub fn is_pcm(self) -> bool {
        matches!(self, Self::Pcm16 | Self::Pcm24 | Self::Pcm32)
    }

    fn of(tag: u16, bits: u16) -> Option<Self> {
        [Self::Pcm16, Self::Pcm24, Self::Pcm32, Self::Float32, Self::Float64]
            .into_iter()
            .find(|format| format.tag() == tag && format.bits() == bits)
    }

    fn tag(self) -> u16 {
        if self.is_pcm() { PCM } else { FLOAT }
    }

    /// In words: `24 bits`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Pcm16 => "16 bits",
            Self::Pcm24 => "24 bits",
            Self::Pcm32 => "32 bits",
            Self::Float32 => "32-bit float",
            Self::Float64 => "64-bit float",
        }
    }
}

impl WavSpec {
    /// The bytes of a frame.
    fn frame_bytes(&self) -> usize {
        usize::from(self.channels) * usize::from(self.format.bits() / 8)
    }
}
