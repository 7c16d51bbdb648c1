//! Calibration error and the reliability table behind it.
