"""The `glider` command: reads flags and environment, prints, sets exit codes. Decides nothing."""
