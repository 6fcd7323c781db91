//! Blocks of quantized weights in GGUF files, as `ggml-quants.c` of ggml defines them.

use half::f16;

use crate::quant::{Codebook, QuantFormat};

/// A kind of block: consecutive weights of a row with their scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::checkpoint) enum Block {
    /// 32 weights of four bits and a scale.
    Q4_0,
    /// 32 weights of eight bits and a scale.
    Q8_0,
    /// 256 weights of four bits; every 32 share a scale and a minimum of six bits, each with a scale of its own.
    Q4K,
    /// 256 weights of six bits; every 16 share a scale of eight bits, and these have one scale.
    Q6K,
}

impl Block {
    /// Weights of a block.
    pub(in crate::checkpoint) fn values(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q8_0 => 32,
            Self::Q4K | Self::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub(in crate::checkpoint) fn bytes(self) -> usize {
        match self {
            Self::Q4_0 => 18,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q6K => 210,
        }
    }

    /// The format of the kernels that has exactly the same weights; `None` where there is none.
    pub(in crate::checkpoint) fn format(self) -> Option<QuantFormat> {
        match self {
            Self::Q4_0 => Some(QuantFormat { codebook: Codebook::Linear4, group: 32 }),
            Self::Q8_0 => Some(QuantFormat { codebook: Codebook::Linear8, group: 32 }),
            Self::Q4K | Self::Q6K => None,
        }
    }

    /// Writes the codes of a block in its [`format`](Self::format) and returns their scale: a weight is
    /// level · scale / 128, so the scale absorbs the power of two between the levels and the stored codes.
    ///
    /// # Panics
    /// If the block has no such format.
    pub(in crate::checkpoint) fn codes(self, block: &[u8], codes: &mut [u8]) -> f16 {
        let (scale, rest) = (half(block, 0), &block[2..]);
        match self {
            Self::Q4_0 => {
                for (index, byte) in rest.iter().enumerate() {
                    (codes[index], codes[index + 16]) = (byte & 15, byte >> 4);
                }
                f16::from_f32(scale * 8.0)
            }
            Self::Q8_0 => {
                codes.iter_mut().zip(rest).for_each(|(code, byte)| *code = byte ^ 0x80);
                f16::from_f32(scale * 128.0)
            }
            Self::Q4K | Self::Q6K => unreachable!("blocks without a quantized format"),
        }
    }

    /// Decodes the weights of a block.
    pub(in crate::checkpoint) fn unpack(self, block: &[u8], out: &mut [f32]) {
        match self {
            Self::Q4_0 => {
                let scale = half(block, 0);
                for (index, byte) in block[2..].iter().enumerate() {
                    out[index] = (f32::from(byte & 15) - 8.0) * scale;
                    out[index + 16] = (f32::from(byte >> 4) - 8.0) * scale;
                }
            }
            Self::Q8_0 => {
                let scale = half(block, 0);
                out.iter_mut().zip(&block[2..]).for_each(|(out, &byte)| *out = f32::from(byte as i8) * scale);
            }
            Self::Q4K => unpack_q4_k(block, out),
            Self::Q6K => unpack_q6_k(block, out),
        }
    }
}

fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Scale and minimum of part `index` of eight. Those of the first four parts are the lower six bits of the first
/// eight bytes; the others have four bits in the last four bytes and two in the upper bits of the first eight.
fn scale_and_minimum(bytes: &[u8], index: usize) -> (u8, u8) {
    match index {
        0..4 => (bytes[index] & 63, bytes[index + 4] & 63),
        _ => {
            let low = bytes[index + 4];
            (low & 15 | bytes[index - 4] >> 6 << 4, low >> 4 | bytes[index] >> 6 << 4)
        }
    }
}

fn unpack_q4_k(block: &[u8], out: &mut [f32]) {
    let (scale, minimum) = (half(block, 0), half(block, 2));
    let (parts, codes) = block[4..].split_at(12);
    for (index, out) in out.chunks_exact_mut(32).enumerate() {
        let (part_scale, part_minimum) = scale_and_minimum(parts, index);
        let (scale, minimum) = (scale * f32::from(part_scale), minimum * f32::from(part_minimum));
        // Two parts share 32 bytes; the first is in the lower halves.
        let shift = index % 2 * 4;
        for (out, byte) in out.iter_mut().zip(&codes[index / 2 * 32..]) {
            *out = scale * f32::from(byte >> shift & 15) - minimum;
        }
    }
}

fn unpack_q6_k(block: &[u8], out: &mut [f32]) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, scale) = (&rest[..16], half(rest, 16));
    for (index, out) in out.iter_mut().enumerate() {
        // Halves of 128; in each, four runs of 32 share 64 bytes of lower and 32 of upper bits.
        let (part, run, lane) = (index / 128, index / 32 % 4, index % 32);
        let lower = low[part * 64 + run % 2 * 32 + lane] >> (run / 2 * 4) & 15;
        let upper = high[part * 32 + lane] >> (run * 2) & 3;
        let part_scale = scale * f32::from(scales[index / 16] as i8);
        *out = part_scale * (f32::from(lower | upper << 4) - 32.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of reproducible random bytes with small scales.
    fn block(kind: Block, seed: u32) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let mut bytes: Vec<u8> = (0..kind.bytes()).map(|_| next()).collect();
        let at = if kind == Block::Q6K { 208 } else { 0 };
        bytes[at..at + 2].copy_from_slice(&f16::from_f32(0.013).to_le_bytes());
        if kind == Block::Q4K {
            bytes[2..4].copy_from_slice(&f16::from_f32(0.02).to_le_bytes());
        }
        bytes
    }

    #[test]
    fn exact_formats_have_the_weights_of_their_blocks() {
        for kind in [Block::Q4_0, Block::Q8_0] {
            let block = block(kind, 3);
            let (mut weights, mut codes) = ([0.0; 32], [0; 32]);
            kind.unpack(&block, &mut weights);
            let scale = kind.codes(&block, &mut codes).to_f32() / 128.0;
            let levels = kind.format().map(|format| format.codebook.lookup_table());
            for (weight, code) in weights.iter().zip(codes) {
                let level = match levels {
                    Some(Some(levels)) => f32::from(levels[usize::from(code)]),
                    _ => f32::from(code) - 128.0,
                };
                assert_eq!(*weight, level * scale, "{kind:?}");
            }
        }
    }
}
