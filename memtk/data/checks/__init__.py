"""What makes an audit meaningless, found before anything is trained: a file for each kind of check.

`patients`: who is in which split. `voxels`: what is unreadable, blank, of another size, or twice.
`headers`, `brightness`, `orientation`: how real and synthetic images differ. `examination` reads
every image once and gives it to all of them; each says what it found as a `findings.Finding`.
"""
