//! Tables, pictures and the self-contained page of a run.
