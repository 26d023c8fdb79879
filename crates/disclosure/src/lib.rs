//! The only way out: rules that turn a confidential outcome into a released one
