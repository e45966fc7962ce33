"""How the platform is watched: logs, health, expected arrivals, metrics. All of it reads, and changes nothing."""
