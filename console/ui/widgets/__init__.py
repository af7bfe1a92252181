"""Parts of the window that know no engine: painted marks, tables, the frame, the drawer."""
