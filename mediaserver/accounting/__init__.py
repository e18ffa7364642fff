"""What the control process runs of `metering`."""
