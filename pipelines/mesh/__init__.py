"""What every 3D system shares: named repairs, the print passport, scale, and files in six formats.

Print frame: z up, millimetres, base on z = 0, centred in x and y.
"""
