"""Files of rows, answered: read in chunks, sent with the contract's types, written beside their answers.

No file is ever held in memory whole. `reading` knows the three formats,
`values` gives text its type, `scoring` asks, `layout` says which columns an
answer adds, and `writing` puts them beside the rows.
"""
