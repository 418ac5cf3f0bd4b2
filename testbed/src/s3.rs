//! S3 servers: rclone's, which checks signatures, and moto, which enforces conditional writes.
