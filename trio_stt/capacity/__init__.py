"""How large must it be: service times measured on this machine, and servers simulated with them on virtual time."""
