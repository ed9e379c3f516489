GAPS = {}
