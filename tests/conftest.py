"""Being here puts this folder on the import path: tables that several tests share stand beside."""
