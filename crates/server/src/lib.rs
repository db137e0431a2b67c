//! HTTP: who is asking, endpoints, replies, authentication, limits.
