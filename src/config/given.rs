//! The outcome of reading a key.

/// What reading a key gave. A bad value was told of already, so that whoever asks need not.
pub(super) enum Given<T> {
    /// The key is not there.
    Absent,
    /// It is there and wrong.
    Bad,
    /// It is there and right.
    Good(T),
}

impl<T> Given<T> {
    /// The value, if there is a good one.
    pub(super) fn good(self) -> Option<T> {
        match self {
            Self::Absent | Self::Bad => None,
            Self::Good(value) => Some(value),
        }
    }

    /// The value, else what is meant where none is given. A bad one ends in refusal, whatever stands in for it.
    pub(super) fn or(self, default: T) -> T {
        self.good().unwrap_or(default)
    }

    /// The value, if the check makes one of it.
    pub(super) fn checked<U>(self, check: impl FnOnce(T) -> Option<U>) -> Given<U> {
        match self {
            Self::Absent => Given::Absent,
            Self::Bad => Given::Bad,
            Self::Good(value) => check(value).map_or(Given::Bad, Given::Good),
        }
    }
}
