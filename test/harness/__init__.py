"""What the tests with real programs share: a broker to start and kill, scenarios, raw Kafka requests."""
