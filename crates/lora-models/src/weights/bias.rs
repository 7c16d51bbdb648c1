//! Whether there is a bias.

/// Whether a linear has a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// `x W + b`.
    Present,
    /// `x W`.
    Absent,
}

impl Bias {
    /// By a setting of `config.json`.
    pub fn present_if(setting: bool) -> Self {
        if setting { Self::Present } else { Self::Absent }
    }
}
