"""Weather: light, sky and air."""

from __future__ import annotations

from dataclasses import dataclass, replace

from unetv2.synthetic.randomness import RGB, RandomStream


@dataclass(frozen=True)
class Weather:
    """The sky, the air, and the light on surfaces."""

    weight: float  # How often this weather is drawn.
    zenith: RGB  # Color of the sky high above.
    low_sky: RGB  # Color of the sky at the horizon, and of the haze.
    cloud: RGB  # Color of the clouds.
    cover: float  # Fraction of the sky with clouds, 0 to 1.
    light: RGB  # Color that multiplies every surface's.
    shadow: float  # Fraction of the light that is lost in a shadow, 0 to 1.
    visibility: float  # Meters after which a color is 63 % haze.
    wet: float = 0.0  # Reflectance of the road, 0 to 1.
    rain: float = 0.0  # Brightness of the streaks, 0 for none.
    grain: float = 2.6  # Standard deviation of the sensor's noise, of 255.
    night: bool = False  # Whether lamps, windows and headlights are lit.
    sun: tuple[float, float] = (0.0, -1.0)  # ``u`` and ``v`` of the sun.
    sun_rgb: RGB = (0.25, 0.22, 0.15)  # Color of the glow about the sun.
    slant: float = 0.0  # Meters of shadow, to the right, for each meter of height.

    def facing(self, side: float) -> float:
        """Returns the brightness of a surface that faces left (-1), the camera (0) or right (1)."""
        sunny = -side * self.slant if side else -0.15
        return 0.86 + self.shadow * max(-0.42, min(0.42, sunny))


_CLEAR = Weather(
    weight=5,
    zenith=(0.27, 0.47, 0.79),
    low_sky=(0.76, 0.85, 0.93),
    cloud=(0.97, 0.97, 0.98),
    cover=0.32,
    light=(1.17, 1.12, 1.04),
    shadow=0.55,
    visibility=900,
)
_WEATHERS = (
    _CLEAR,
    replace(_CLEAR, weight=3, cover=0.62, shadow=0.4, cloud=(0.9, 0.91, 0.93), visibility=600),
    Weather(  # Hard, low sun.
        weight=3,
        zenith=(0.33, 0.5, 0.74),
        low_sky=(0.97, 0.91, 0.76),
        cloud=(1.0, 0.96, 0.88),
        cover=0.25,
        light=(1.28, 1.11, 0.86),
        shadow=0.68,
        visibility=420,
        sun_rgb=(0.75, 0.6, 0.35),
    ),
    Weather(  # Overcast.
        weight=4,
        zenith=(0.55, 0.58, 0.62),
        low_sky=(0.72, 0.74, 0.75),
        cloud=(0.66, 0.67, 0.69),
        cover=0.75,
        light=(0.92, 0.94, 0.97),
        shadow=0.14,
        visibility=420,
        sun_rgb=(0.05, 0.05, 0.05),
    ),
    Weather(  # Rain.
        weight=3,
        zenith=(0.36, 0.4, 0.45),
        low_sky=(0.56, 0.59, 0.62),
        cloud=(0.45, 0.47, 0.5),
        cover=0.85,
        light=(0.62, 0.66, 0.72),
        shadow=0.1,
        visibility=190,
        wet=0.75,
        rain=0.16,
        grain=4,
        sun_rgb=(0.0, 0.0, 0.0),
    ),
    Weather(  # After the rain.
        weight=2,
        zenith=(0.4, 0.53, 0.71),
        low_sky=(0.83, 0.85, 0.86),
        cloud=(0.72, 0.74, 0.78),
        cover=0.6,
        light=(1.0, 1.0, 1.0),
        shadow=0.35,
        visibility=420,
        wet=0.6,
    ),
    Weather(  # Fog.
        weight=2,
        zenith=(0.68, 0.71, 0.73),
        low_sky=(0.74, 0.76, 0.77),
        cloud=(0.76, 0.77, 0.78),
        cover=0.5,
        light=(0.8, 0.82, 0.84),
        shadow=0.08,
        visibility=60,
        wet=0.15,
        sun_rgb=(0.08, 0.08, 0.07),
    ),
    Weather(  # Dawn.
        weight=2,
        zenith=(0.47, 0.55, 0.74),
        low_sky=(0.99, 0.82, 0.7),
        cloud=(0.97, 0.77, 0.73),
        cover=0.45,
        light=(0.9, 0.8, 0.82),
        shadow=0.3,
        visibility=230,
        sun_rgb=(0.5, 0.35, 0.2),
    ),
    Weather(  # Dusk.
        weight=3,
        zenith=(0.2, 0.24, 0.43),
        low_sky=(0.96, 0.58, 0.34),
        cloud=(0.62, 0.4, 0.42),
        cover=0.5,
        light=(0.56, 0.46, 0.48),
        shadow=0.3,
        visibility=420,
        grain=4,
        night=True,
        sun_rgb=(0.6, 0.32, 0.1),
    ),
    Weather(  # Night.
        weight=2,
        zenith=(0.02, 0.035, 0.085),
        low_sky=(0.1, 0.11, 0.17),
        cloud=(0.11, 0.11, 0.15),
        cover=0.45,
        light=(0.23, 0.25, 0.33),
        shadow=0.05,
        visibility=260,
        grain=6,
        night=True,
        sun_rgb=(0.05, 0.05, 0.07),
    ),
)
_WEIGHTS = [weather.weight for weather in _WEATHERS]


def draw_weather(rng: RandomStream) -> Weather:
    """Draws a weather and the position of the sun."""
    weather = rng.weighted_choice(_WEATHERS, _WEIGHTS)
    side = rng.sign()
    exposure = rng.uniform(0.86, 1.1)
    red, green, blue = weather.light
    return replace(
        weather,
        zenith=rng.vary(weather.zenith, 0.03),
        low_sky=rng.vary(weather.low_sky, 0.03),
        cloud=rng.vary(weather.cloud, 0.03),
        cover=min(0.95, weather.cover * rng.uniform(0.5, 1.4)),
        light=(red * exposure, green * exposure, blue * exposure),
        visibility=weather.visibility * rng.uniform(0.7, 1.6),
        sun=(-side * rng.uniform(0.1, 1.1), -rng.uniform(0.12, 0.9)),
        slant=side * rng.uniform(0.5, 1.5),
    )
