//! The outcome of reading a key.

/// What reading a key gave. A bad value was told of already, so that whoever asks need not.
pub(super) enum Field<T> {
    /// The key is not there.
    Absent,
    /// It is there and wrong.
    Invalid,
    /// It is there and right.
    Valid(T),
}

impl<T> Field<T> {
    /// The value, if there is a good one.
    pub(super) fn valid(self) -> Option<T> {
        match self {
            Self::Absent | Self::Invalid => None,
            Self::Valid(value) => Some(value),
        }
    }

    /// The value, else what is meant where none is given. A bad one ends in refusal, whatever stands in for it.
    pub(super) fn unwrap_or(self, default: T) -> T {
        self.valid().unwrap_or(default)
    }

    /// The value, if the check makes one of it.
    pub(super) fn checked<U>(self, check: impl FnOnce(T) -> Option<U>) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Invalid => Field::Invalid,
            Self::Valid(value) => check(value).map_or(Field::Invalid, Field::Valid),
        }
    }
}
