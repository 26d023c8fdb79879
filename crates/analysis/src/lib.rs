//! What an analysis is: confidential inputs in, a confidential outcome out
