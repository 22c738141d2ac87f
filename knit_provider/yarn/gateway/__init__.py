"""The gateway: one JVM with Hadoop's own client classes, started on first need and spoken to over loopback."""
