//! How much a package may unpack to.

use super::Excess;

/// How much a package may unpack to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of content.
    pub unpacked: u64,
    /// Files, directories and all other members.
    pub members: u64,
    /// Times the size of the package itself. Not asked of what unpacks to less than 64 MiB: a small package of little
    /// but zeros is no attack.
    pub ratio: u64,
}

const RATIO_MATTERS_FROM: u64 = 64 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Limits {
    /// What no package seen in a distribution comes near.
    pub const DEFAULT: Self = Self {
        unpacked: 64 << 30,
        members: 1 << 20,
        ratio: 500,
    };

    pub(super) fn check_members(&self, members: usize) -> Result<(), Excess> {
        let members = members as u64;
        if members > self.members {
            let limit = self.members;
            return Err(Excess::Members { members, limit });
        }
        Ok(())
    }

    pub(crate) fn check_unpacked(&self, unpacked: u64, packed: u64) -> Result<(), Excess> {
        if unpacked > self.unpacked {
            let limit = self.unpacked;
            return Err(Excess::Unpacked { unpacked, limit });
        }
        if unpacked > RATIO_MATTERS_FROM && unpacked > packed.saturating_mul(self.ratio) {
            let limit = self.ratio;
            return Err(Excess::Ratio {
                packed,
                unpacked,
                limit,
            });
        }
        Ok(())
    }
}
