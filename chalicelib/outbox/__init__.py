"""What was committed is told to others: CloudEvents on EventBridge, SNS and signed webhooks."""
